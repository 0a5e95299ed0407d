"""The files that come with miner-client: its systemd unit, its Grafana dashboard, its README. No chain is needed."""

import json
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

from network import BIN

MINER = pathlib.Path(__file__).resolve().parents[2] / "miner-client"
UNIT = MINER / "systemd" / "miner-client.service"
DASHBOARD = MINER / "grafana" / "miner.json"
README = MINER / "README.md"
PROGRAM = BIN / "miner-client"
# The exposure that `systemd-analyze security` may find, in tenths: 0 is a service that can do nothing, 100 one that can do anything. What is left is the
# network, the GPUs, and memory that is written and then executed, all of which mining needs.
EXPOSURE = 20
# How long an audited task's result is waited for, in seconds: five times the chain's RevealWindow of 20 blocks of three seconds.
AUDIT_S = 5 * 20 * 3

BOOLEAN = re.compile(r"yes|no")
NUMBER = re.compile(r"\d+|infinity")
TIME = re.compile(r"0|(\d+(s|min|h)?)( \d+(s|min|h))*")
WORDS = re.compile(r"\S+( \S+)*")
NAME = re.compile(r"[\w@.-]+( [\w@.-]+)*")
# The options of systemd that the unit may use, by section, and what their values look like. systemd itself only warns of an option that it does not know.
OPTIONS = {
    "Unit": {"Description": WORDS, "Wants": NAME, "After": NAME, "StartLimitIntervalSec": TIME, "StartLimitBurst": NUMBER},
    "Install": {"WantedBy": NAME},
    "Service": {
        "Type": re.compile("notify"),
        "NotifyAccess": re.compile("main"),
        "ExecStart": WORDS,
        "Environment": re.compile(r"\w+=\S+"),
        "Restart": re.compile("on-failure|always|on-abnormal"),
        "RestartPreventExitStatus": NUMBER,
        "OOMPolicy": re.compile("continue|stop|kill"),
        "KillMode": re.compile("mixed|control-group|process"),
        "KillSignal": re.compile(r"SIG\w+"),
        "User": NAME,
        "Group": NAME,
        "StateDirectory": NAME,
        "StateDirectoryMode": re.compile("0[0-7]{3}"),
        "CacheDirectory": NAME,
        "LoadCredential": re.compile(r"[\w.]+:/\S+"),
        "CapabilityBoundingSet": re.compile(""),
        "AmbientCapabilities": re.compile(""),
        "ProtectSystem": re.compile("strict|full|yes"),
        "ProtectProc": re.compile("invisible|noaccess|ptraceable|default"),
        "UMask": re.compile("0[0-7]{3}"),
        "DevicePolicy": re.compile("closed|strict|auto"),
        "DeviceAllow": re.compile(r"(char-|block-|/dev/)\S+ [rwm]+"),
        "RestrictAddressFamilies": re.compile("AF_[A-Z0-9]+( AF_[A-Z0-9]+)*"),
        "SystemCallArchitectures": NAME,
        "SystemCallFilter": re.compile("~?@[a-z-]+"),
        "SystemCallErrorNumber": re.compile("E[A-Z]+"),
        **{name: TIME for name in ("TimeoutStartSec", "TimeoutStopSec", "WatchdogSec", "RestartSec")},
        **{name: NUMBER for name in ("LimitMEMLOCK", "LimitNOFILE", "LimitCORE")},
        **{
            name: BOOLEAN
            for name in (
                "NoNewPrivileges",
                "ProtectHome",
                "PrivateTmp",
                "ProtectClock",
                "ProtectControlGroups",
                "ProtectHostname",
                "ProtectKernelLogs",
                "ProtectKernelModules",
                "ProtectKernelTunables",
                "LockPersonality",
                "RemoveIPC",
                "RestrictNamespaces",
                "RestrictRealtime",
                "RestrictSUIDSGID",
            )
        },
    },
}
# What hides the GPUs from CUDA, or keeps it from compiling for them.
BREAKS_CUDA = ("PrivateDevices", "MemoryDenyWriteExecute", "ProcSubset", "PrivateUsers")

# How Grafana writes numbers: those of its units that the dashboard may use.
UNITS = {"none", "short", "s", "bytes", "percentunit", "celsius", "watt", "opm", "dtdurations", "bool_yes_no"}
METRIC = re.compile(r"\b(?:cuckoo_miner|process)_\w+")


def parse_unit(text):
    """The options of a unit: section, name and value, in their order."""
    options, section = [], None
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section = line.strip("[]")
        else:
            name, found, value = line.partition("=")
            if not found:
                raise ValueError(f"this is no option: {line!r}")
            options.append((section, name, value))
    return options


def seconds(time):
    """A time of systemd's in seconds."""
    units = {"": 1, "s": 1, "min": 60, "h": 3600}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([a-z]*)", time))


def flags_of(words):
    """The flags among the words of a command line."""
    return {word.partition("=")[0] for word in words if word.startswith("--")}


def known_flags(*subcommand):
    """The flags that the program knows for this subcommand."""
    done = subprocess.run([PROGRAM, *subcommand, "--help"], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"miner-client {' '.join(subcommand)}: {done.stderr.strip()}")
    return set(re.findall(r"--[a-z][a-z-]*", done.stdout))


def commands(text):
    """The command lines of miner-client in a text: those that stand in a block of their own, with or without a comment's mark and what runs them."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    found = (re.match(r"[#\s]*(?:runuser -u \S+ -- )?miner-client ([a-z].*)", line) for line in lines)
    return [shlex.split(match[1], comments=True) for match in found if match]


class ProgramTest(unittest.TestCase):
    """Tests that ask the program what it can do."""

    def check_commands(self, text):
        if not PROGRAM.exists():
            self.skipTest(f"{PROGRAM} is not built")
        found = commands(text)
        self.assertTrue(found)
        for words in found:
            with self.subTest(" ".join(words)):
                plain = [re.fullmatch(r"[a-z]+(-[a-z]+)*", word) for word in words]
                count = plain.index(None) if None in plain else len(words)
                self.assertLessEqual(flags_of(words), known_flags(*words[:count]))


class Unit(ProgramTest):
    """The systemd unit."""

    @classmethod
    def setUpClass(cls):
        cls.text = UNIT.read_text()
        cls.options = parse_unit(cls.text)

    def all(self, name):
        return [value for _, found, value in self.options if found == name]

    def one(self, name):
        (value,) = self.all(name)
        return value

    def test_every_option_exists_and_its_value_makes_sense(self):
        for section, name, value in self.options:
            with self.subTest(name):
                self.assertIn(name, OPTIONS.get(section, {}), f"[{section}] has no such option")
                self.assertRegex(value, rf"\A(?:{OPTIONS[section][name].pattern})\Z")

    def test_options_are_given_once_but_for_lists(self):
        names = [name for _, name, _ in self.options]
        lists = {"Wants", "After", "LoadCredential", "DeviceAllow", "SystemCallFilter", "Environment"}
        self.assertEqual({name for name in names if names.count(name) > 1} - lists, set())

    def test_the_command_line_is_one_that_the_program_knows(self):
        program, *words = self.one("ExecStart").split()
        self.assertEqual((pathlib.PurePath(program).name, words[0]), ("miner-client", "run"))
        if not PROGRAM.exists():
            self.skipTest(f"{PROGRAM} is not built")
        self.assertLessEqual(flags_of(words), known_flags("run"))

    def test_files_on_the_command_line_are_there_when_it_starts(self):
        words = self.one("ExecStart").split()
        credentials = [value.partition(":")[0] for value in self.all("LoadCredential")]
        for directory, file in re.findall(r"\$\{(\w+)\}(?:/(\S+))?", " ".join(words)):
            with self.subTest(directory):
                if directory == "CREDENTIALS_DIRECTORY":
                    self.assertIn(file, credentials)
                else:
                    self.assertEqual((directory, file), ("STATE_DIRECTORY", ""))
                    self.one("StateDirectory")
        used = re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/(\S+)", " ".join(words))
        self.assertEqual(sorted(used), sorted(credentials), "a credential that nobody uses")

    def test_the_program_tells_systemd_how_it_is(self):
        self.assertEqual((self.one("Type"), self.one("NotifyAccess")), ("notify", "main"))
        # The work loop turns every three seconds.
        self.assertGreaterEqual(seconds(self.one("WatchdogSec")), 30)
        self.assertEqual(self.one("Restart"), "on-failure")

    def test_there_is_time_to_finish_what_was_promised(self):
        self.assertEqual((self.one("KillMode"), self.one("KillSignal")), ("mixed", "SIGTERM"))
        self.assertGreater(seconds(self.one("TimeoutStopSec")), 2 * AUDIT_S)

    def test_cuda_works_in_it(self):
        names = {name for _, name, _ in self.options}
        self.assertEqual(names & set(BREAKS_CUDA), set())
        self.assertIn("char-nvidia* rw", self.all("DeviceAllow"))
        self.assertIn("MemoryDenyWriteExecute is left out", self.text)

    def test_the_way_to_install_it_is_one_that_the_program_knows(self):
        self.check_commands(self.text)

    def test_systemd_takes_it(self):
        """`systemd-analyze verify` has nothing to say of it, and `systemd-analyze security` little."""
        analyze = shutil.which("systemd-analyze")
        if not analyze:
            self.skipTest("there is no systemd-analyze on this machine")
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / UNIT.name
            # The program is not installed here.
            copy.write_text(self.text.replace("ExecStart=/usr/local/bin/miner-client", f"ExecStart={shutil.which('true')}"))
            verify = self.analyze(analyze, "verify", "--man=no", copy)
            self.assertEqual(verify.returncode, 0, verify.stderr)
            self.assertNotIn(UNIT.name, verify.stdout + verify.stderr)
            wrong = pathlib.Path(folder) / "wrong.service"
            wrong.write_text(copy.read_text().replace("[Install]", "NoSuchOption=yes\n[Install]"))
            noticed = self.analyze(analyze, "verify", "--man=no", wrong)
            self.assertIn("NoSuchOption", noticed.stderr, "systemd-analyze does not look at what it is given")
            security = self.analyze(analyze, "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE}", copy)
            self.assertEqual(security.returncode, 0, security.stdout + security.stderr)

    def analyze(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if "nrecognized option" in done.stderr or "Unknown command" in done.stderr:
            self.skipTest(f"systemd-analyze is too old: {done.stderr.strip()}")
        return done


def described():
    """The metrics that the program has, and their labels."""
    source = (MINER / "src" / "metrics.rs").read_text().partition("#[cfg(test)]")[0]
    names = set(re.findall(r'^const \w+: &str = "(\w+)";', source, re.MULTILINE))
    return names, set(re.findall(r'"(\w+)" =>', source))


def base(name, names):
    """A histogram is asked for under three names."""
    shorter = re.sub(r"_(bucket|sum|count)$", "", name)
    return shorter if shorter in names else name


class Dashboard(unittest.TestCase):
    """The Grafana dashboard."""

    @classmethod
    def setUpClass(cls):
        cls.dashboard = json.loads(DASHBOARD.read_text())
        cls.panels = [panel for panel in cls.dashboard["panels"] if panel["type"] != "row"]
        cls.names, cls.labels = described()

    def test_it_is_one_of_grafana_11(self):
        self.assertIn(self.dashboard["schemaVersion"], (39, 40, 41))
        rows = [panel["title"] for panel in self.dashboard["panels"] if panel["type"] == "row"]
        self.assertEqual(rows, ["Earning", "Work", "GPUs", "Chain and transactions", "Process"])

    def test_whoever_imports_it_says_where_the_data_is(self):
        """The data source is a variable, and nothing names one of its own."""
        variables = {variable["name"]: variable for variable in self.dashboard["templating"]["list"]}
        self.assertEqual((variables["datasource"]["type"], variables["datasource"]["query"]), ("datasource", "prometheus"))
        self.assertNotIn("uid", self.dashboard)
        self.assertEqual(set(re.findall(r'"uid":\s*"([^"]*)"', DASHBOARD.read_text())), {"${datasource}"})
        for panel in self.panels:
            self.assertEqual({target["datasource"]["uid"] for target in panel["targets"]}, {"${datasource}"}, panel["title"])

    def test_every_panel_says_what_it_shows_and_in_what_unit(self):
        for panel in self.panels:
            with self.subTest(panel["title"]):
                unit = panel["fieldConfig"]["defaults"]["unit"]
                self.assertTrue(unit in UNITS or unit.startswith("suffix:"), unit)
                self.assertRegex(panel["description"], r"\A[A-Z].{20,}\.\Z")

    def test_panels_lie_beside_and_below_each_other(self):
        taken, ids = {}, set()
        for panel in self.dashboard["panels"]:
            self.assertNotIn(panel["id"], ids, panel["title"])
            ids.add(panel["id"])
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                self.assertNotIn(cell, taken, f"{panel['title']} lies on {taken.get(cell)}")
                taken[cell] = panel["title"]

    def queries(self):
        return [(panel["title"], target) for panel in self.panels for target in panel["targets"]]

    def test_it_asks_for_what_the_program_has_and_for_all_of_it(self):
        asked = {base(name, self.names) for _, target in self.queries() for name in METRIC.findall(target["expr"])}
        self.assertGreater(len(self.names), 20)
        self.assertEqual(asked - self.names, set(), "the program has no such metric")
        self.assertEqual(self.names - asked, set(), "no panel shows it")
        for variable in self.dashboard["templating"]["list"]:
            self.assertLessEqual(set(METRIC.findall(str(variable.get("definition", "")))), self.names)

    def test_every_query_is_of_the_chosen_miners_and_by_labels_that_there_are(self):
        labels = self.labels | {"instance", "le"}
        for title, target in self.queries():
            with self.subTest(title):
                expr = target["expr"]
                self.assertEqual(len(METRIC.findall(expr)), expr.count('{instance=~"$instance"'))
                for opening, closing in ("()", "[]", "{}"):
                    self.assertEqual(expr.count(opening), expr.count(closing), expr)
                by = {label for labels_of in re.findall(r"by \(([^)]*)\)", expr) for label in labels_of.split(", ")}
                matched = set(re.findall(r'(\w+)=~?"', expr))
                shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                self.assertLessEqual(by | matched | shown, labels)
                # A label that was summed away cannot be shown.
                if by:
                    self.assertLessEqual(shown, by)

    def test_what_only_grows_is_shown_by_how_fast(self):
        for title, target in self.queries():
            for name in METRIC.findall(target["expr"]):
                if name.endswith(("_total", "_bucket", "_sum", "_count")):
                    self.assertRegex(target["expr"], rf"(rate|increase)\({name}\{{", title)


class Readme(ProgramTest):
    """What the README says of files, metrics and commands."""

    def test_every_metric_is_in_its_table(self):
        names, _ = described()
        rows = set(re.findall(r"^\| `(\w+)", README.read_text(), re.MULTILINE))
        self.assertEqual(rows & {name for name in rows if METRIC.fullmatch(name)}, names)

    def test_the_files_that_it_names_exist(self):
        for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
            self.assertTrue((MINER / target).exists(), target)

    def test_its_commands_are_those_of_the_program(self):
        self.check_commands(README.read_text())


if __name__ == "__main__":
    unittest.main()
