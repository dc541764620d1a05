"""The policy's keys: the parser's tables, the JSON Schema, pgcertd.yaml(5) and examples agree."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("PGCERTD_SOURCE") or pathlib.Path(__file__).parents[1])
BUILD = os.environ.get("PGCERTD_BUILD")
EXAMPLES = ["conf/pgcertd.example.yaml", "conf/tutorial.yaml", "tests/policy/good.yaml",
            "tests/policy/full.yaml"]
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "y": 31557600}

# The parser's tables, and where the schema and the manual speak of the same keys.
SECTIONS = {
    "defaults": (("properties", "defaults"), "defaults"),
    "authority": (("definitions", "authority"), "authorities"),
    "adopt": (("definitions", "authority", "properties", "adopt"), "adopt"),
    "certificate": (("definitions", "certificate"), "certificates"),
    "files": (("definitions", "certificate", "properties", "files"), "files"),
    "cluster": (("definitions", "cluster"), "clusters"),
    "verify": (("definitions", "cluster", "properties", "verify"), "verify"),
}


def seconds(span):
    return sum(float(n) * UNITS[unit] for n, unit in re.findall(r"([\d.]+) *([a-z]+)", span))


def evaluate(expression):
    """The seconds of an expression of the table."""
    names = {"S": 1, "MIN": 60, "D": 86400, "Y": 31557600}
    return eval(re.sub(r"[A-Z]+", lambda m: str(names[m[0]]), expression))


def arguments(text):
    return [part.strip() for part in text.split(",")]


class Key:
    """A line of a table."""

    def __init__(self, kind, text):
        self.kind = kind
        self.name = re.search(r'"(\w+)"', text)[1]
        self.is_required = kind == "REQUIRED" or "is_required = true" in text
        self.span = [evaluate(a) for a in arguments(text)[-3:]] if kind == "SPAN" else None
        words = re.search(r"\.words = (\w+)", text)
        self.words = words[1] if words else arguments(text)[-1] if kind == "WORD" else None


class Parser:
    """common/policykey.c, read by its form."""

    def __init__(self):
        text = (SOURCE / "common/policykey.c").read_text()
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        tables = re.findall(r"static const PolicyKey (\w+)\[\] = \{(.*?)\n\};", text, re.S)
        self.tables = {name: self.keys(body) for name, body in tables}
        self.words = {name: re.findall(r'"([^"]+)"', body) for name, body in
                      re.findall(r"static const char \*const (\w+)\[\] = \{(.*?)\};", text, re.S)}
        top = re.search(r"policykey_top\[POLICYKEY_TOP_N\] = \{(.*?)\};", text, re.S)[1]
        self.top = re.findall(r'"(\w+)"', top)

    @staticmethod
    def keys(body):
        found = []
        for kind, inside, plain in re.findall(r"\b([A-Z]+)\(((?:[^()]|\([^()]*\))*)\)|\{(.*?)\}",
                                              body, re.S):
            found.append(Key(kind, inside or plain))
        return found


class Manual:
    """man/pgcertd.yaml.5: the items of each subsection, as plain text."""

    def __init__(self):
        self.text = (SOURCE / "man/pgcertd.yaml.5").read_text()
        self.sections = {}
        for name, body in re.findall(r"^\.Ss (\S+)\n(.*?)(?=^\.S[sh] )", self.text,
                                     re.S | re.M):
            items = re.findall(r"^\.It Ic (\w+)(.*?)(?=^\.It|^\.El)", body, re.S | re.M)
            self.sections[name] = {key: self.plain(rest) for key, rest in items}

    @staticmethod
    def plain(text):
        return re.sub(r"\s+", " ", re.sub(r"^\.\w+ ", "", text, flags=re.M))

    def example(self):
        return re.search(r"^\.Bd -literal[^\n]*\n(version.*?)^\.Ed", self.text, re.S | re.M)[1]


def dig(tree, path):
    for step in path:
        tree = tree[step]
    return tree


class Pairing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.parser = Parser()
        cls.manual = Manual()
        cls.schema = json.loads((SOURCE / "conf/pgcertd.schema.json").read_text())

    def pairs(self):
        for table, (path, section) in SECTIONS.items():
            yield table, self.parser.tables[table], dig(self.schema, path), section
        yield ("spans", self.parser.tables["spans"], self.schema, "Top")

    def test_every_table_is_looked_at(self):
        self.assertEqual(set(self.parser.tables), set(SECTIONS) | {"spans"})
        self.assertGreater(sum(len(keys) for keys in self.parser.tables.values()), 40)

    def test_the_same_keys(self):
        for table, keys, schema, section in self.pairs():
            names = self.parser.top if table == "spans" else [key.name for key in keys]
            with self.subTest(table):
                self.assertEqual(sorted(names), sorted(schema["properties"]))
                self.assertEqual(sorted(names), sorted(self.manual.sections[section]))
                self.assertIs(schema["additionalProperties"], False)

    def test_the_same_keys_of_subjects_and_services(self):
        text = (SOURCE / "common/policylist.c").read_text()
        types = re.findall(r'"(\w+)"', re.search(r"types\[\] = \{(.*?)\}", text, re.S)[1])
        self.assertEqual(types, list(dig(self.schema, ("definitions", "attributes",
                                                       "properties"))))
        refused = re.findall(r'"(\w+)"', "".join(
            re.findall(r"(?:ours|secrets)\[\] = \{(.*?)\}", text, re.S)))
        service = dig(self.schema, ("definitions", "certificate", "properties", "service"))
        self.assertEqual(set(refused) | {"service", "servicefile"},
                         {key for key, value in service["properties"].items() if value is False})
        self.assertEqual(sorted(self.manual.sections["service"]), ["file", "name"])

    def test_the_same_keys_are_required(self):
        for table, keys, schema, section in self.pairs():
            wanted = sorted(key.name for key in keys if key.is_required)
            if table == "spans":
                wanted = ["version"]
            with self.subTest(table):
                self.assertEqual(wanted, sorted(schema.get("required", [])))
                # "required for a client" is a rule of two keys, and has other words.
                said = [name for name, text in self.manual.sections[section].items()
                        if "Required." in text]
                self.assertEqual(wanted, sorted(said))

    def test_the_same_ranges_and_defaults(self):
        for table, keys, schema, section in self.pairs():
            for key in keys:
                if key.kind not in ("SPAN", "REKEY"):
                    continue
                text = self.manual.sections[section][key.name]
                minimum, maximum, fallback = key.span or (1, 100 * UNITS["y"], 0)
                with self.subTest(table + "." + key.name):
                    said = re.search(r"From (\w+) to (\w+); the default is ([^.]*)", text)
                    self.assertIsNotNone(said, text)
                    self.assertEqual((seconds(said[1]), seconds(said[2])), (minimum, maximum))
                    if fallback:
                        self.assertEqual(seconds(said[3]), fallback)
                        self.assertEqual(seconds(schema["properties"][key.name]["default"]),
                                         fallback)
                    described = schema["properties"][key.name].get("description", "")
                    for low, high in re.findall(r"; (\w+) to (\w+)", described):
                        self.assertEqual((seconds(low), seconds(high)), (minimum, maximum))

    def test_the_same_words(self):
        key_types = re.findall(r'= "([\w-]+)"', (SOURCE / "common/keytype.c").read_text())
        self.assertEqual(key_types, dig(self.schema, ("definitions", "key", "enum")))
        for word in key_types:
            self.assertIn(word, self.manual.sections["defaults"]["key"])
        for table, keys, schema, section in self.pairs():
            for key in keys:
                if not key.words:
                    continue
                words = self.parser.words[key.words]
                with self.subTest(table + "." + key.name):
                    self.assertEqual(sorted(words), sorted(schema["properties"][key.name]["enum"]))
                    for word in words:
                        self.assertIn(word, self.manual.sections[section][key.name])


class Examples(unittest.TestCase):
    """What is shown to users is right, for the schema and for the program."""

    @classmethod
    def setUpClass(cls):
        cls.policies = {name: (SOURCE / name).read_text() for name in EXAMPLES}
        cls.policies["pgcertd.yaml(5)"] = Manual().example()

    def validator(self):
        try:
            import jsonschema
            import yaml
        except ImportError:
            self.skipTest("no python3-jsonschema or python3-yaml")
        schema = json.loads((SOURCE / "conf/pgcertd.schema.json").read_text())
        jsonschema.Draft7Validator.check_schema(schema)
        validator = jsonschema.Draft7Validator(schema)

        def with_texts(node):
            """A key may look like a number; for the schema all keys are texts."""
            if isinstance(node, dict):
                return {str(key): with_texts(value) for key, value in node.items()}
            return node

        return lambda text: [error.message for error in
                             validator.iter_errors(with_texts(yaml.safe_load(text)))]

    def check(self, text):
        """pgcertd --check, with owners that every machine has."""
        if not BUILD:
            self.skipTest("PGCERTD_BUILD names no build")
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "policy.yaml"
            path.write_text(re.sub(r"owner: (postgres|app)\b", "owner: nobody", text))
            return subprocess.run([os.path.join(BUILD, "daemon/pgcertd"), "--policy", path,
                                   "--check", "--print"], capture_output=True, text=True)

    def test_the_schema_accepts_them(self):
        judge = self.validator()
        for name, text in self.policies.items():
            with self.subTest(name):
                self.assertEqual(judge(text), [])

    def test_the_program_accepts_them(self):
        for name, text in self.policies.items():
            with self.subTest(name):
                done = self.check(text)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_schema_accepts_what_the_program_prints(self):
        judge = self.validator()
        for name in ("good", "full"):
            self.assertEqual(judge((SOURCE / f"tests/policy/{name}.expected").read_text()), [])

    def test_the_schema_accepts_what_the_parser_accepts(self):
        judge = self.validator()
        good = self.policies["tests/policy/good.yaml"]
        blocks = (SOURCE / "tests/policy/accepted.txt").read_text().split("\n\n")[1:]
        self.assertGreater(len(blocks), 50)
        for block in blocks:
            old, new = ("".join(line[2:] + "\n" for line in block.split("\n") if line[:1] == sign)
                        for sign in "-+")
            with self.subTest(new):
                self.assertIn(old, good)
                self.assertEqual(judge(good.replace(old, new, 1)), [])

    def test_the_schema_refuses_what_it_can(self):
        judge = self.validator()
        good = self.policies["tests/policy/good.yaml"]
        for old, new in [("use: server", "use: both"), ("lifetime: 5y", "lifetime: 5"),
                         ("role: app", "roles: app"), ("role: app", "subject: { CN: app }"),
                         ("names: [localhost, 127.0.0.1]", "names: []"), ("C: CN", "C: China"),
                         ("/etc/postgresql/ssl", "/etc/../ssl"), ("lifetime: 5y", "key: ed25519"),
                         ("host: localhost", "password: x"), ("version: 1", "version: 2")]:
            with self.subTest(new):
                self.assertIn(old, good)
                self.assertNotEqual(judge(good.replace(old, new)), [])


if __name__ == "__main__":
    unittest.main()
