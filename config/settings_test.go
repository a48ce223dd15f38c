package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// settable writes a configuration whose files are there.
func settable(t *testing.T) string {
	t.Helper()
	ref, err := os.ReadFile("gateagent.toml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "root.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("/etc/gateagent/root.json", dir+"/root.json", "/etc/gateagent/trust", dir, "/var/lib/gateagent/incoming", dir).Replace(string(ref))
	path := filepath.Join(dir, "gateagent.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Pushed settings go before the file's, the later before the earlier; what is
// the machine's own is not central's to set, and nothing is half taken.
func TestWithSettings(t *testing.T) {
	path := settable(t)
	fleet := Setting{"fleet", []byte("[policy]\nname = \"strict\"\nrequire_crl = [\"*\"]\n[timing]\ncard = \"9s\"\n[staff]\nreasons = [\"only one\"]\n")}
	c, err := WithSettings(path, fleet, Setting{"SGN", []byte("[timing]\ncard = \"8s\"\n")})
	if err != nil {
		t.Fatal(err)
	}
	if c.Policy.Name != "strict" || c.Policy.Face != "off" || c.Timing.Card.Std().String() != "8s" || len(c.Staff.Reasons) != 1 || len(c.Staff.Operators) != 1 || c.Gate.Name != "SGN-G12" {
		t.Errorf("%+v", c)
	}
	for name, tc := range map[string][2]string{
		"the barrier":    {"[barrier]\nactive = \"energised_shuts\"\n", "barrier may not be set"},
		"an operator":    {"[[staff.operator]]\nname = \"Eve\"\npin = \"x\"\n", "staff.operator may not be set"},
		"a root":         {"[update]\nroot = \"/tmp/root\"\n", "update.root may not be set"},
		"another clock":  {"[clock]\nsource = \"assume\"\n", "clock may not be set"},
		"the trust":      {"[trust]\ndir = \"/tmp\"\n", "trust may not be set"},
		"no table":       {"policy = 1\n", "policy may not be set"},
		"an unknown key": {"[policy]\ncolour = \"red\"\n", "unknown key \"policy.colour\""},
		"a wrong value":  {"[policy]\nface = \"maybe\"\n", "policy.face"},
		"no TOML":        {"[policy", "fleet"},
	} {
		if _, err := WithSettings(path, Setting{"fleet", []byte(tc[0])}); err == nil || !strings.Contains(err.Error(), tc[1]) {
			t.Errorf("%s: %v; want it to say %q", name, err, tc[1])
		}
	}
}

// Faults of what is pushed are named as all others.
func TestUpdateFaults(t *testing.T) {
	ref, err := os.ReadFile("gateagent.toml")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string][3]string{
		"airport":      {`airport = "SGN"`, `airport = "sgn"`, "update.airport"},
		"no root":      {`root = "bundle"`, `root = ""`, "update.root"},
		"plain mirror": {"https://central.example:8444/repo", "http://central.example/repo", "update.mirrors"},
		"every":        {`every = "5m"`, `every = "1ms"`, "update.every"},
		"age of what":  {`of = "timestamp"`, `of = "weather"`, "update.age.of"},
		"order":        {`flag = "24h"`, `flag = "1m"`, "update.age.refer"},
		"freeze":       {`to = "2027-01-04"`, `to = "2026-12-01"`, "update.freeze.from"},
	} {
		text := strings.Replace(string(ref), tc[0], tc[1], 1)
		if _, err := Parse("f", []byte(text)); err == nil || !strings.Contains(err.Error(), tc[2]) {
			t.Errorf("%s: %v; want it to say %q", name, err, tc[2])
		}
	}
}
