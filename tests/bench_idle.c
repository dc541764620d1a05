/*
 * The least that a service with a YAML policy is: the file read once with libyaml, and sd-event
 * with one timer. Started by tests/benchmark.py, which looks at it from outside.
 */
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <yaml.h>

#define HOUR_USEC (UINT64_C(3600) * 1000000)

static int read_policy(const char *path)
{
        FILE *file = fopen(path, "re");
        yaml_parser_t parser;
        int is_end = 0;

        if (!file || !yaml_parser_initialize(&parser))
                return -1;
        yaml_parser_set_input_file(&parser, file);
        while (!is_end) {
                yaml_event_t event;

                if (!yaml_parser_parse(&parser, &event))
                        return -1;
                is_end = event.type == YAML_STREAM_END_EVENT;
                yaml_event_delete(&event);
        }
        yaml_parser_delete(&parser);
        return fclose(file);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
        return 0;
}

int main(int argc, char **argv)
{
        sd_event *event = NULL;

        if (argc != 2 || read_policy(argv[1]) < 0 || sd_event_default(&event) < 0 ||
            sd_event_add_time_relative(event, NULL, CLOCK_BOOTTIME, HOUR_USEC, 0, on_time, NULL) <
                    0)
                return 1;
        return sd_event_loop(event) < 0;
}
