package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/sim/doc"
	"gateagent/sim/kiosk"
)

// pushing makes a central that keeps a repository, and a gate there whose
// lists come by it. Nothing runs at the gate yet.
func pushing(t testing.TB, listed []*doc.Document) (*rig, *kiosk.Central, *kiosk.Repository) {
	t.Helper()
	name := filepath.Join(root, t.Name())
	repo, err := kiosk.NewRepository(t.Context(), bin, name+"-repo", "SGN")
	if err != nil {
		t.Fatal(err)
	}
	own, err := kiosk.NewCentral(t.Context(), bin, name, repo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	return newRig(t, func(o *kiosk.Options) { o.Central, o.Listed, o.Pushed = own, listed, true }), own, repo
}

// refused sends somebody to the gate who is listed and revoked.
func (r *rig) refused(d *doc.Document) {
	r.t.Helper()
	v := r.visit(d, nil)
	if v.Outcome != gate.Refer.String() || !v.has(gate.CodeListRevoked) {
		r.t.Errorf("somebody who was revoked: %s", v.line())
	}
	r.explained(v)
}

// TestRevokedAtOnce: list and revocations come by broker and HTTPS; whoever is
// revoked is refused from then on, also after a kill and without network, and
// nobody else is.
func TestRevokedAtOnce(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 3)
	r, own, _ := pushing(t, guests)
	r.start()
	go r.watch()
	r.ready()
	r.admitted(guests[0])
	if err := r.Revoke(r.within(soon), guests[0]); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := r.Agent.AwaitLine(r.within(soon), "revocations in force", "number=1"); err != nil {
		t.Fatal(err)
	}
	t.Logf("in force %v after the command ended", time.Since(began).Round(time.Millisecond))
	r.refused(guests[0])
	r.admitted(guests[1])

	own.Kill()
	r.Agent.Kill()
	r.start()
	r.ready()
	r.refused(guests[0])
	r.admitted(guests[2])
	if err := own.Start(r.within(startWithin)); err != nil {
		t.Fatal(err)
	}
	if err := r.Revoke(r.within(soon), guests[2]); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Agent.AwaitLine(r.within(soon), "revocations in force", "number=2"); err != nil {
		t.Fatal(err)
	}
	r.refused(guests[2])
	r.balance(own, 6)
}
