package e2e

import (
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/sim/kiosk"
)

const reason = "identity checked by hand"

// TestHelpAndReferrals: help reaches staff within a second, a referral is open
// until a named operator resolves it, also over a restart and a kill, and each
// resolution is recorded once.
func TestHelpAndReferrals(t *testing.T) {
	t.Parallel()
	stranger := citizens(t, 1)[0]
	r := running(t, nil)
	r.ready()
	r.mark()
	began := time.Now()
	if err := r.Pages.Help(r.ctx); err != nil {
		t.Fatal(err)
	}
	v := r.await("the call for help", soon, func(v view) bool { return v.Help && v.Stage == gate.StageHelpComing })
	if took := time.Since(began); took > time.Second {
		t.Errorf("help reached the staff page after %v", took)
	}
	help := v.Tx
	refused := r.visit(stranger, nil).Tx
	if err := r.Pages.Resolve(r.ctx, help, "waved through", reason); err == nil {
		t.Error("an outcome that is none was taken")
	}
	if err := r.Pages.Resolve(r.ctx, help, "sent_back", "no such reason"); err == nil {
		t.Error("a reason that is none was taken")
	}
	if err := r.Agent.Stop(); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.mark()
	r.await("both referrals to be open after a restart", startWithin, func(v view) bool { return v.open(help) && v.open(refused) })
	r.resolve(help, "sent_back")
	r.Agent.Kill()
	r.start()
	r.mark()
	v = r.await("the other referral to be open after a kill", startWithin, func(v view) bool { return v.open(refused) })
	if v.open(help) {
		t.Error("a resolved referral is open again after a kill")
	}
	r.resolve(refused, "admitted_by_staff")
	if err := r.Pages.Resolve(r.ctx, refused, "refused", reason); err == nil || !strings.Contains(err.Error(), "not open any more") {
		t.Errorf("resolved a second time: %v", err)
	}
	all := r.balance(central, 2)
	for tx, outcome := range map[string]string{help: "sent_back", refused: "admitted_by_staff"} {
		res := r.one(all, tx, wire.KindResolution).Resolution
		if want := (wire.Resolution{Operator: kiosk.Operator, Outcome: outcome, Reason: reason}); *res != want {
			t.Errorf("central holds resolution %+v, expected %+v", *res, want)
		}
	}
	if n := r.Relay.Opened(); n != 0 {
		t.Errorf("the gate opened %d times; staff open it by hand", n)
	}
}

// resolve closes a referral and waits until it is off the desk. The officer's
// session does not outlive the agent, so the browser may have to sign in.
func (r *rig) resolve(tx, outcome string) {
	r.t.Helper()
	var err error
	for range 50 {
		if err = r.Pages.Resolve(r.ctx, tx, outcome, reason); err == nil || !strings.Contains(err.Error(), "401") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.resolved++
	r.mark()
	r.await("the referral to leave the desk", soon, func(v view) bool { return !v.open(tx) })
}

// TestStop: SIGTERM ends the agent within five seconds with status 0, idle and
// in the middle of a transaction; the gate is shut, and central sees the kiosk
// go, also when it is killed.
func TestStop(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 3)
	r := running(t, func(o *kiosk.Options) { o.Listed = guests })
	r.ready()
	r.admitted(guests[0])
	r.standing("present")
	r.stop("idle")
	r.standing("absent")

	r.start()
	r.ready()
	tx := r.begin(guests[1])
	f := r.present(guests[1], slow)
	r.await("the reading", soon, func(v view) bool { return v.Tx == tx && v.Stage == gate.StageReading })
	r.stop("while a document is read")
	f.remove()

	r.start()
	r.ready()
	r.begin(guests[2])
	f = r.present(guests[2], nil)
	for end := time.Now().Add(soon); r.Relay.Opened() < 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	r.stop("while the gate is open")
	f.remove()
	r.shut()
	r.start()
	r.balance(central, 2)
	r.standing("present")
	r.Agent.Kill()
	r.standing("absent")
}

// stop ends the agent by SIGTERM.
func (r *rig) stop(when string) {
	r.t.Helper()
	began := time.Now()
	if err := r.Agent.Terminate(); err != nil {
		r.t.Fatal(err)
	}
	code, err := r.Agent.Wait(r.within(soon))
	took := time.Since(began)
	if err != nil || code != 0 || took > 5*time.Second {
		r.t.Errorf("SIGTERM %s: status %d after %v (%v)", when, code, took, err)
	}
	r.t.Logf("SIGTERM %s: ended after %v", when, took.Round(time.Millisecond))
	for _, l := range r.said("level=ERROR") {
		r.t.Errorf("SIGTERM %s: %s", when, l)
	}
}

// standing waits until central sees the kiosk so.
func (r *rig) standing(want string) {
	r.t.Helper()
	var got string
	for end := time.Now().Add(soon); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s, _, err := central.Fleet(r.within(soon), r.Name())
		if err != nil {
			r.t.Fatal(err)
		}
		if got = s.State; got == want {
			return
		}
	}
	r.t.Errorf("central sees the kiosk %s, expected %s", got, want)
}
