package config

import (
	"os"
	"strings"
	"testing"
)

// Where the kiosk's key lies is one of three words; registers count for a TPM
// alone.
func TestListProtection(t *testing.T) {
	ref, err := os.ReadFile("gateagent.toml")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ protect, tpm, pcrs, says string }{
		"tpm":            {"tpm", "/dev/tpm0", "[7, 11]", ""},
		"credential":     {"credential", "/dev/tpmrm0", "[]", ""},
		"nothing":        {"", "", "[]", ""},
		"another word":   {"vault", "/dev/tpmrm0", "[]", "protect"},
		"no device":      {"tpm", "tpm0", "[]", "tpm"},
		"no register":    {"tpm", "/dev/tpmrm0", "[24]", "pcrs"},
		"a register <0":  {"tpm", "/dev/tpmrm0", "[-1]", "pcrs"},
		"twice":          {"tpm", "/dev/tpmrm0", "[7, 7]", "pcrs"},
		"without a TPM":  {"file", "/dev/tpmrm0", "[7]", "pcrs"},
		"with systemd's": {"credential", "/dev/tpmrm0", "[7]", "pcrs"},
	} {
		text := strings.NewReplacer("\nprotect = \"file\"", "\nprotect = \""+tc.protect+"\"", "\ntpm = \"/dev/tpmrm0\"", "\ntpm = \""+tc.tpm+"\"",
			"\npcrs = []", "\npcrs = "+tc.pcrs).Replace(string(ref))
		c, err := Parse("f", []byte(text))
		if (err != nil) != (tc.says != "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "nothing" && err == nil && (c.List.Protect != ProtectFile || c.List.TPM != "/dev/tpmrm0") {
			t.Errorf("%s: %+v", name, c.List)
		}
	}
}
