package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/sim/kiosk"
)

// refuses starts an agent that must end by itself within a few seconds, with
// status 1 and one line that has all the words.
func (r *rig) refuses(what string, words ...string) {
	r.t.Helper()
	began := time.Now()
	p, err := r.Launch()
	if err != nil {
		r.t.Fatal(err)
	}
	defer p.Kill()
	code, err := p.Wait(r.within(soon))
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
	if code != 1 {
		r.t.Errorf("%s: status %d", what, code)
	}
	said := p.Lines("gateagent: ")
	if len(said) != 1 {
		r.t.Errorf("%s: it says\n%s", what, p.Log())
		return
	}
	for _, w := range words {
		if !strings.Contains(said[0], w) {
			r.t.Errorf("%s: the line\n%s\nlacks %q", what, said[0], w)
		}
	}
	r.t.Logf("%s, after %v: %s", what, time.Since(began).Round(time.Millisecond), said[0])
}

// TestSecondAgent: a second agent on the same state folder ends at once, names
// the first, and disturbs nothing.
func TestSecondAgent(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 2)
	r := running(t, func(o *kiosk.Options) { o.Listed = guests })
	r.ready()
	r.admitted(guests[0])
	for range 3 {
		r.refuses("second agent", r.State(), fmt.Sprintf("pid %d", r.Agent.PID()), "stop that one first")
	}
	r.admitted(guests[1])
	r.balance(central, 2)
}

// TestCannotStart: what makes a start impossible is told in one line with
// place and remedy, status 1, and never touches the gate.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	good, err := os.ReadFile(r.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Check(r.ctx); err != nil {
		t.Error(err)
	}
	edit := func(old, to string) {
		t.Helper()
		text := strings.Replace(string(good), old, to, 1)
		if text == string(good) {
			t.Fatalf("the configuration has no %q", old)
		}
		if err := os.WriteFile(r.ConfigFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ name, old, to, says string }{
		{"unknown key", "[policy]\n", "[policy]\ncolour = 3\n", ":10:1: unknown key"},
		{"wrong type", "face = \"off\"", "face = 3", ":11:8: policy.face"},
		{"no word on the face", "face = \"off\"\n", "", ":9:1: policy.face: is missing"},
		{"no such trust folder", trust, trust + "/none", "trust.dir: stat "},
		{"not TOML", "[gate]", "[gate", ":1:"},
	} {
		edit(tc.old, tc.to)
		r.refuses(tc.name, r.ConfigFile()+":", tc.says)
	}
	if err := os.Remove(r.ConfigFile()); err != nil {
		t.Fatal(err)
	}
	r.refuses("no configuration", r.ConfigFile(), "no such file")
	if err := os.WriteFile(r.ConfigFile(), good, 0o600); err != nil {
		t.Fatal(err)
	}
	identity := r.State() + "/identity"
	if err := os.Rename(identity, r.Path("identity.kept")); err != nil {
		t.Fatal(err)
	}
	r.refuses("not enrolled", identity, "gatectl kiosk")
	if err := os.Rename(r.Path("identity.kept"), identity); err != nil {
		t.Fatal(err)
	}
	if n := r.Relay.Commands(); n != 0 {
		t.Errorf("an agent that could not start sent %d commands to the relay", n)
	}
}

// TestDaemonComesAndGoes: the PC/SC daemon is not there at the start, comes,
// restarts, is killed, loses its reader: staff are told, and the gate serves
// again by itself each time.
func TestDaemonComesAndGoes(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 1)
	r := newRig(t, func(o *kiosk.Options) { o.Listed = guests })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	outOfOrder := func(what string) {
		t.Helper()
		r.mark()
		v := r.await(what+": staff to be told", soon, func(v view) bool { return v.Stage == gate.StageOutOfOrder && v.notice("reader") })
		for _, n := range v.Notices {
			if n.Source == "reader" {
				t.Logf("%s: %s", what, n.Text)
			}
		}
	}
	must(r.Daemon.Stop())
	r.start()
	go r.watch()
	outOfOrder("not running at the start")
	must(r.Daemon.Start())
	r.ready()
	r.admitted(guests[0])
	must(r.Daemon.Stop())
	outOfOrder("stopped")
	must(r.Daemon.Start())
	r.ready()
	r.admitted(guests[0])
	r.Daemon.Kill()
	outOfOrder("killed")
	must(r.Daemon.Start())
	r.ready()
	r.Daemon.SetReader(false)
	must(r.Daemon.Restart())
	outOfOrder("reader unplugged")
	r.Daemon.SetReader(true)
	must(r.Daemon.Restart())
	r.ready()
	r.admitted(guests[0])
	r.balance(central, 3)
}
