package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The commented reference file is the documentation of the format, so it has
// to load, and has to show every key.
func TestReferenceFile(t *testing.T) {
	text, err := os.ReadFile("gateagent.toml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse("gateagent.toml", text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Gate.Location.String() != "Asia/Ho_Chi_Minh" || c.State.MaxBytes != 1<<30 || len(c.Staff.Operators) != 1 {
		t.Errorf("values were not taken over: %+v", c)
	}
	for _, key := range keysOf(t) {
		if !strings.Contains(string(text), "\n"+key+" =") {
			t.Errorf("the reference file does not show the key %q", key)
		}
	}
}

// keysOf lists the toml names in config.go.
func keysOf(t *testing.T) []string {
	t.Helper()
	src, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for line := range strings.Lines(string(src)) {
		_, rest, ok := strings.Cut(line, "`toml:\"")
		if !ok {
			continue
		}
		key, _, _ := strings.Cut(rest, "\"")
		tables := "gate state record policy face clock reader scanner barrier trust list uplink web staff timing log operator clone_unproven path update age freeze hours exception messages closed referred out_of_order -"
		if !strings.Contains(" "+tables+" ", " "+key+" ") {
			keys = append(keys, key)
		}
	}
	if len(keys) < 30 {
		t.Fatalf("only %d keys were found in config.go", len(keys))
	}
	return keys
}

// at is where the reference file has a key, as an error names it.
func at(ref []byte, key string, col int) string {
	before, _, _ := strings.Cut(string(ref), "\n"+key+" =")
	return fmt.Sprintf("f:%d:%d: ", strings.Count(before, "\n")+2, col)
}

// Each fault is named with file, line and column.
func TestFaultsAreNamed(t *testing.T) {
	ref, err := os.ReadFile("gateagent.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, old, new, want string }{
		{"unknown key", "name = \"SGN-G12\"", "name = \"SGN-G12\"\ncolour = \"red\"", `f:8:1: unknown key "gate.colour"`},
		{"wrong type", "shared = false", "shared = \"no\"", at(ref, "shared", 10) + "reader.shared:"},
		{"bad duration", "pulse = \"500ms\"", "pulse = \"500\"", "is no duration"},
		{"bad duration place", "pulse = \"500ms\"", "pulse = \"500\"", at(ref, "pulse", 9)},
		{"negative duration", "pulse = \"500ms\"", "pulse = \"-5s\"", "is no duration"},
		{"bad size", "1GiB", "1 GB", "is no size"},
		{"not toml", "[gate]", "[gate", "f:5:"},
		{"no face word", "face = \"off\"", "", "f:26:1: policy.face: is missing"},
		{"wrong face word", "face = \"off\"", "face = \"maybe\"", "f:32:1: policy.face:"},
		{"public address", "127.0.0.1:8480", "0.0.0.0:8480", at(ref, "listen", 1) + "web.listen:"},
		{"bad zone", "Asia/Ho_Chi_Minh", "Asia/Nowhere", "f:9:1: gate.zone:"},
		{"bad gate", "SGN-G12", "SGN G12", "f:7:1: gate.name:"},
		{"second scanner", "[barrier]\n", "[[scanner]]\nbaud = 9600\n\n[barrier]\n", "scanner.path: is missing"},
		{"plain pin", "$argon2id$", "1234", "staff.operator.pin: is no hash"},
		{"malformed pin", "$argon2id$v=19$", "$argon2id$", at(ref, "pin", 1) + "staff.operator.pin: is no hash"},
		{"relay", "relay = 1", "relay = 33", at(ref, "relay", 1) + "barrier.relay:"},
		{"input", "input = 0", "input = 9", at(ref, "input", 1) + "barrier.input:"},
		{"negative baud", "baud = 9600", "baud = -1", "barrier.baud: must not be negative"},
		{"unstable name", "/dev/serial/by-id/usb-relay-board-if00", "/dev/ttyUSB0", "barrier.path: /dev/ttyUSB0 changes"},
		{"relative device", "/dev/serial/by-id/usb-Honeywell", "usb-Honeywell", "scanner.path:"},
		{"relative runtime", "/run/gateagent\"", "run\"", at(ref, "runtime", 1) + "state.runtime:"},
		{"no such port", "127.0.0.1:8480", "127.0.0.1:99999", "web.listen:"},
		{"plain broker", "brokers = []", "brokers = [\"tcp://x:1883\"]", "uplink.brokers:"},
		{"stable", "stable = \"30s\"", "stable = \"2h\"", at(ref, "stable", 1) + "uplink.stable: lies outside"},
		{"face without a pack", "face = \"off\"", "face = \"required\"", "face.pack: is missing"},
		{"face without a basis", "face = \"off\"", "face = \"required\"", "face.legal_basis: is missing"},
		{"unproven chips without a face", "issuers = []", "issuers = [\"USA\"]", at(ref, "issuers", 1) + "policy.clone_unproven.issuers: names issuers although"},
		{"unproven chips of all", "issuers = []", "issuers = [\"*\"]", at(ref, "issuers", 1) + "policy.clone_unproven.issuers: \"*\" is no issuing state"},
		{"unproven chips threshold", "threshold = 0.0", "threshold = nan", at(ref, "threshold", 1) + "policy.clone_unproven.threshold:"},
		{"crl issuer", "require_crl = []", "require_crl = [\"VIETNAM\"]", at(ref, "require_crl", 1) + "policy.require_crl:"},
		{"challenge word", "challenge = \"off\"", "challenge = \"dance\"", at(ref, "challenge", 1) + "face.challenge:"},
		{"challenge for nothing", "attack = \"evaluatory\"\n", "attack = \"required\"\n", at(ref, "attack", 1) + "face.attack:"},
		{"attack score", "attack_score = 0.0", "attack_score = 1.5", at(ref, "attack_score", 1) + "face.attack_score:"},
		{"attack word", "attack = \"evaluatory\"", "attack = \"maybe\"", at(ref, "attack", 1) + "face.attack:"},
		{"pulse too short", "500ms", "50ms", "barrier.pulse: lies outside"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(string(ref), tc.old, tc.new, 1)
			if text == string(ref) {
				t.Fatal("the case changes nothing")
			}
			_, err := Parse("f", []byte(text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error\n%v\nlacks %q", err, tc.want)
			}
		})
	}
}

func TestLoadMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none.toml")); err == nil || !strings.Contains(err.Error(), "none.toml") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("folder: %v", err)
	}
	ref, err := os.ReadFile("gateagent.toml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(ref), "/etc/gateagent/trust", filepath.Join(dir, "no-trust"), 1)
	file := filepath.Join(dir, "c.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "trust.dir: stat "+filepath.Join(dir, "no-trust")) {
		t.Errorf("missing trust folder: %v", err)
	}
}

// A configuration that says nothing admits nobody: it does not even load.
func TestEmptyRefuses(t *testing.T) {
	_, err := Parse("empty", nil)
	if err == nil {
		t.Fatal("an empty configuration loads")
	}
	for _, want := range []string{"gate.name", "state.dir", "policy.face", "reader.name", "barrier.path", "staff"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s", want)
		}
	}
}

func FuzzParse(f *testing.F) {
	ref, err := os.ReadFile("gateagent.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ref)
	f.Add([]byte("[gate]\nname=1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("fuzz", b)
		if err == nil && c.Policy.Face != "off" && c.Policy.Face != "required" {
			t.Error("a configuration without a word on the face was accepted")
		}
	})
}
