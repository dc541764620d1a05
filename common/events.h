/*
 * The events that pgcertd tells, by MESSAGE_ID (sd-id128 without dashes). A stable interface: an id
 * never changes its meaning and is never used again.
 */
#pragma once

#define EVENT_STARTED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7101"
#define EVENT_STOPPED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7102"
#define EVENT_POLICY_LOADED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7103"
#define EVENT_POLICY_BROKEN "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7104"
#define EVENT_CA_CREATED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7105"
#define EVENT_PUBLISHED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7106"
#define EVENT_PROVEN "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7107"
#define EVENT_OWED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7108"
#define EVENT_REFUSED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7109"
#define EVENT_UNUSABLE "5a2f0e6c0b7c4e3c9a0d8b1f3e6a710a"
#define EVENT_USABLE "5a2f0e6c0b7c4e3c9a0d8b1f3e6a710b"
#define EVENT_FAILED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a710c"
#define EVENT_RECOVERED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a710d"
#define EVENT_FOREIGN "5a2f0e6c0b7c4e3c9a0d8b1f3e6a710e"
#define EVENT_CLOCK_UNSYNCHRONISED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a710f"
#define EVENT_REQUESTED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7110"
#define EVENT_ISSUED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7111"
#define EVENT_CLOCK_STEPPED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7112"
#define EVENT_ADOPTED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7114"
#define EVENT_REPAIRED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7113"
#define EVENT_UNMANAGED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7120"
#define EVENT_CA_PREPARED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7115"
#define EVENT_CA_ANNOUNCED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7116"
#define EVENT_CA_ACTIVATED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7117"
#define EVENT_CA_RETIRED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7118"
#define EVENT_CA_REPLACED "5a2f0e6c0b7c4e3c9a0d8b1f3e6a7119"
#define EVENT_CA_NOTICE "5a2f0e6c0b7c4e3c9a0d8b1f3e6a711a"
