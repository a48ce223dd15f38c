package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/internal/passhash"
)

// command runs a command inside this process; PC/SC is not for it.
func command(stdin string, args ...string) (stdout, stderr string, err error) {
	cmd := root()
	var out, errs bytes.Buffer
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

func TestReaders(t *testing.T) {
	want := []string{readerName(0), readerName(1)}
	if got := program(t, "", "readers"); got.status != 0 || got.stdout != strings.Join(want, "\n")+"\n" || got.stderr != "" {
		t.Errorf("%+v", got)
	}
	got := program(t, "", "readers", "--json")
	var list map[string][]string
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil || got.status != 0 || len(list) != 1 || !slices.Equal(list["readers"], want) {
		t.Errorf("%+v: %v", got, err)
	}
	programAt(t, filepath.Join(t.TempDir(), "pcscd.comm"), "", "readers").refused(t, "pcscd", "systemctl")
	program(t, "", "readers", "all").refused(t, `"all"`)
}

func TestCheck(t *testing.T) {
	ref := must[[]byte](t)(os.ReadFile("../../config/gateagent.toml"))
	path := filepath.Join(t.TempDir(), "kiosk.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	root := filepath.Join(dir, "root.json")
	if err := os.WriteFile(root, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("/etc/gateagent/trust", dir, "/var/lib/gateagent/incoming", dir,
		"/etc/gateagent/root.json", root).Replace(string(ref))
	write(text)
	out, errs, err := command("", "check", "--config", path)
	if err != nil || errs != "" || !strings.Contains(out, path+" is complete") || strings.Count(out, "\n") != 1 {
		t.Errorf("%q %q %v", out, errs, err)
	}
	write(strings.Replace(text, "[gate]", "[gate]\ncolour = \"red\"", 1))
	program(t, "", "check", "--config", path).refused(t, path+":", "gate.colour")
	program(t, "", "check", "--config", path+".not").refused(t, path+".not")
	program(t, "", "check", "now").refused(t, "now")
}

func TestPIN(t *testing.T) {
	got := program(t, "4711-0815\r\n", "pin")
	hash := strings.TrimSuffix(got.stdout, "\n")
	if got.status != 0 || strings.Contains(hash, "\n") || strings.Contains(got.stdout+got.stderr, "4711") {
		t.Errorf("%+v", got)
	}
	for pin, want := range map[string]bool{"4711-0815": true, "4711-0816": false} {
		if ok, err := passhash.Verify(hash, []byte(pin)); ok != want || err != nil {
			t.Errorf("PIN %s fits the hash: %v, %v", pin, ok, err)
		}
	}
	again, _, err := command("4711-0815", "pin")
	if err != nil || again == got.stdout {
		t.Errorf("two hashes of one PIN are the same, or %v", err)
	}
	for _, in := range []string{"", "\n", "123\n", strings.Repeat("1", 65) + "\n"} {
		if out, _, err := command(in, "pin"); err == nil || out != "" {
			t.Errorf("the PIN %q is taken: %q", in, out)
		}
	}
}

func TestRootRefuses(t *testing.T) {
	for _, args := range [][]string{{"fly"}, {"--fast"}, {"read", "more"}} {
		if out, _, err := command("", args...); err == nil || out != "" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	if out, _, err := command(""); err != nil || !strings.Contains(out, "gateagent read") {
		t.Errorf("without arguments: %q, %v", out, err)
	}
}

// The machine readable zone in all the ways in which people hand it over.
func TestReadScan(t *testing.T) {
	d := foreign(0)(t)
	l := d.MRZLines()
	want := gate.Secret(d.MRZInfo())
	for name, c := range map[string]struct{ arg, stdin string }{
		"newline": {l[0] + "\n" + l[1], ""}, "slash": {l[0] + "/" + l[1], ""}, "CR LF": {l[0] + "\r\n" + l[1] + "\r\n", ""}, "joined": {l[0] + l[1], ""},
		"input": {"-", l[0] + "\n" + l[1] + "\n"}, "input with a slash": {"-", l[0] + "/" + l[1] + "\n"},
	} {
		o := readOptions{mrz: c.arg}
		s, err := o.scan(strings.NewReader(c.stdin))
		if err != nil || s.Kind != gate.ScanMRZ || !bytes.Equal(s.Key.MRZInfo, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := readOptions{can: "-"}
	if s, err := o.scan(strings.NewReader("123456\n")); err != nil || string(s.Key.CAN) != "123456" {
		t.Errorf("CAN on input: %v", err)
	}
	o = readOptions{mrz: "-"}
	if _, err := o.scan(strings.NewReader(strings.Repeat("<", 1<<20))); err == nil {
		t.Error("a megabyte of filler is taken for an MRZ")
	}
}

// Days are those of the machine's zone, or of the one that --at names.
func TestReadTime(t *testing.T) {
	hanoi := time.FixedZone("", 7*3600)
	old := time.Local
	defer func() { time.Local = old }()
	time.Local = time.FixedZone("here", 9*3600)
	for at, zone := range map[string]*time.Location{
		"2026-06-01T10:00:00Z": time.Local, "2026-06-01T10:00:00+07:00": hanoi, "untrusted": time.Local, "": time.Local,
	} {
		o := readOptions{at: at}
		got, err := o.time()
		if err != nil {
			t.Fatal(err)
		}
		_, want := day.In(zone).Zone()
		if _, offset := day.In(got.Zone).Zone(); offset != want {
			t.Errorf("--at %q: days begin at offset %d, not %d", at, offset, want)
		}
		if at == "untrusted" && got.Trusted || at != "untrusted" && at != "" && !got.Trusted {
			t.Errorf("--at %q: trusted %v", at, got.Trusted)
		}
	}
}
