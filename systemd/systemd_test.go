package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// systemd itself must find nothing to say about the units. The programs they
// start are replaced by one that exists, since a test installs nothing.
func TestUnitsVerify(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatal("systemd-analyze is missing: run scripts/setup")
	}
	for _, unit := range []string{"gateagent.service", "gatecentral.service"} {
		t.Run(unit, func(t *testing.T) {
			out, err := verify(t, tool, unit, "")
			if err != nil || out != "" {
				t.Errorf("%v\n%s", err, out)
			}
			// The check must be able to fail.
			if out, err := verify(t, tool, unit, "NoSuchKey=yes\n"); err == nil && out == "" {
				t.Error("a broken unit passes")
			}
		})
	}
}

func verify(t *testing.T, tool, unit, spoil string) (string, error) {
	t.Helper()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	body := regexp.MustCompile(`/usr/bin/gate[a-z]+`).ReplaceAllString(string(text), "/bin/true")
	body = strings.Replace(body, "[Service]\n", "[Service]\n"+spoil, 1)
	// Units that only a full installation has.
	body = regexp.MustCompile(`pcscd\.socket ?`).ReplaceAllString(body, "")
	body = regexp.MustCompile(`(?m)^Wants=$\n`).ReplaceAllString(body, "")
	file := filepath.Join(t.TempDir(), unit)
	if err := os.WriteFile(file, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "verify", "--man=no", file).CombinedOutput()
	// systemd also speaks of other units of the machine; only ours counts.
	var ours []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, file) || strings.Contains(line, unit) {
			ours = append(ours, line)
		}
	}
	return strings.Join(ours, ""), err
}

// Both ask the kernel whether its clock is synchronised (adjtimex(2)), which
// ProtectClock= and the filter of privileged calls forbid (systemd.exec(5)).
func TestMayReadTheClock(t *testing.T) {
	for _, unit := range []string{"gateagent.service", "gatecentral.service"} {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		filter, allow := slices.Index(lines, "SystemCallFilter=~@privileged @resources"), slices.Index(lines, "SystemCallFilter=adjtimex clock_adjtime")
		if filter < 0 {
			filter = slices.Index(lines, "SystemCallFilter=~@privileged")
		}
		if filter < 0 || allow < filter || slices.Contains(lines, "ProtectClock=yes") {
			t.Errorf("%s does not let the kernel be asked for its clock", unit)
		}
	}
}

// What the confinement promises must not get lost.
func TestHardened(t *testing.T) {
	text, err := os.ReadFile("gateagent.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Type=notify", "WatchdogSec=", "NoNewPrivileges=yes", "ProtectSystem=strict", "LimitCORE=0",
		"CapabilityBoundingSet=\n", "MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service", "DevicePolicy=closed",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("gateagent.service lacks %s", strings.TrimSpace(want))
		}
	}
}

// What operators add comes in by ways that need no edited unit, and a machine
// without them starts all the same: a file of options that may be missing, and
// credentials by name alone, which systemd leaves out when they are not there
// (systemd.exec(5), LoadCredential=).
func TestOptionsAndCredentials(t *testing.T) {
	for unit, wants := range map[string][]string{
		"gateagent.service":   {"LoadCredentialEncrypted=gateagent.seal", "DeviceAllow=/dev/tpmrm0 rw"},
		"gatecentral.service": {"LoadCredentialEncrypted=gatecentral.online", "EnvironmentFile=-/etc/gatecentral/gatecentral.env"},
	} {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for _, want := range wants {
			if !slices.Contains(lines, want) {
				t.Errorf("%s lacks %s", unit, want)
			}
		}
	}
	text, err := os.ReadFile("gatecentral.service")
	if err != nil {
		t.Fatal(err)
	}
	// Without braces, so that it becomes as many arguments as there are words.
	if !regexp.MustCompile(`(?m)^ExecStart=.* \$GATECENTRAL_OPTIONS$`).Match(text) {
		t.Error("gatecentral.service does not pass GATECENTRAL_OPTIONS on")
	}
	manual, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"GATECENTRAL_OPTIONS=", "/etc/gatecentral/gatecentral.env", "--name=gatecentral.online", "--name=gateagent.seal"} {
		if !strings.Contains(string(manual), word) {
			t.Errorf("docs/operations.md does not say %s", word)
		}
	}
}
