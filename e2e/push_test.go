package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/central/repo/repotest"
	"gateagent/gate/wire"
	"gateagent/sim/kiosk"
)

// TestPushedSettings: settings from a stick are proven, tried when nobody is at
// the gate, and in force while the same process goes on serving travellers;
// what does not fit is refused and changes nothing; a restart keeps them.
func TestPushedSettings(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 2)
	now := time.Now().UTC().Truncate(time.Second)
	repo := repotest.New(t, now, "SGN")
	r := newRig(t, func(o *kiosk.Options) { o.Listed = guests })
	root := r.Path("root.json")
	text, err := os.ReadFile(r.ConfigFile())
	if err == nil {
		err = os.WriteFile(root, repo.Root(), 0o600)
	}
	if err == nil {
		err = os.WriteFile(r.ConfigFile(), append(text, []byte("\n[update]\nroot = '"+root+"'\n")...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.start()
	go r.watch()
	r.ready()
	agent := r.Agent
	said := func(words ...string) {
		t.Helper()
		if _, err := agent.AwaitLine(r.within(startWithin), words...); err != nil {
			t.Fatal(err)
		}
	}
	version := uint64(0)
	push := func(settings string) (string, error) {
		version++
		repo.Add("settings/fleet.toml", wire.Target{Kind: wire.KindSettings, Version: version, Issued: now, Expires: now.Add(time.Hour)}, []byte(settings), now)
		repo.Publish(now)
		out, err := kiosk.Run(r.within(startWithin), filepath.Join(bin, "gatectl"), "update", "import", repo.Dir, "--state", r.State())
		return string(out), err
	}
	if out, err := push("[policy]\nname = \"from central\"\n"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said("settings in force")
	said("starting", "from central")
	r.admitted(guests[0])
	if out, err := push("[reader]\nname = \"another\"\n"); err == nil || !strings.Contains(err.Error()+out, "may not be set by central") {
		t.Errorf("a reader from central: %v\n%s", err, out)
	}
	r.admitted(guests[1])
	if !agent.Running() {
		t.Fatal("the agent ended")
	}
	if err := agent.Stop(); err != nil {
		t.Error(err)
	}
	r.start()
	r.ready()
	if _, err := r.Agent.AwaitLine(r.within(startWithin), "starting", "from central"); err != nil {
		t.Error(err)
	}
	r.balance(central, 2)
}
