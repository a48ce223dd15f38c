package e2e

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/sim/kiosk"
)

// TestScannerGarbage: a megabyte of noise from the scanner, and messages that
// are almost right, cost a few lines in the log and nothing else.
func TestScannerGarbage(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 2)
	r := running(t, func(o *kiosk.Options) { o.Listed, o.Card = guests, 2*time.Second })
	r.ready()
	noise := make([]byte, 1<<20)
	_, _ = rand.Read(noise) // never fails
	r.mark()
	for rest := noise; len(rest) > 0; {
		n := min(len(rest), 4096)
		if err := r.Scanner.Raw(rest[:n]); err != nil {
			t.Fatalf("the agent does not take the noise: %v", err)
		}
		rest = rest[n:]
	}
	if err := r.Scanner.Raw([]byte("\r\n")); err != nil {
		t.Fatal(err)
	}
	almost := guests[0].QR()
	for _, text := range []string{
		strings.Repeat("|", 2000), strings.Repeat("<", 90), almost[1:], strings.Repeat(almost, 3),
		strings.Replace(almost, "|", "", 1), "IDVNM" + strings.Repeat("9", 85), "\x00\x01\x02", "]Q1", "',--; DROP TABLE result",
	} {
		if err := r.Scanner.Scan(text); err != nil {
			t.Fatal(err)
		}
	}
	r.await("the traveller to be asked to scan again", soon, func(v view) bool { return v.Stage == gate.StageRescan })
	v := r.await("the lane to give up", soon, func(v view) bool { return v.decided() })
	r.explained(v)
	if v.Outcome != gate.Abort.String() || !v.has(gate.CodeScanUnreadable) {
		t.Errorf("after the noise: %s", v.line())
	}
	r.await("the gate to be idle", soon, func(v view) bool { return v.Stage == gate.StageIdle })
	if lines := r.said("level=WARN", "message of the device was dropped"); len(lines) == 0 || len(lines) > 3 {
		t.Errorf("the log tells of the noise %d times:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	if n := strings.Count(r.Agent.Log(), "\n"); n > 60 {
		t.Errorf("the log has %d lines", n)
	}
	r.admitted(guests[0])
	all := r.balance(central, r.decidedIn())
	if len(all) > 8 {
		t.Errorf("the noise made %d records", len(all))
	}
}

// TestScannerUnplugged: staff are told, and the scanner works again after it
// was plugged in, though it is another device under the old name.
func TestScannerUnplugged(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 2)
	r := running(t, func(o *kiosk.Options) { o.Listed = guests })
	r.ready()
	r.admitted(guests[0])
	for range 2 {
		r.mark()
		if err := r.Scanner.Unplug(); err != nil {
			t.Fatal(err)
		}
		r.await("staff to be told of the scanner", soon, func(v view) bool { return v.notice("scanner", r.Scanner.Path()) })
		time.Sleep(700 * time.Millisecond)
		if err := r.Scanner.Plug(); err != nil {
			t.Fatal(err)
		}
		r.mark()
		r.await("the scanner to work again", soon, func(v view) bool { return !v.notice("scanner") })
		r.admitted(guests[1])
	}
	if lines := r.said("level=WARN", "serial port is down", r.Scanner.Path()); len(lines) < 2 || len(lines) > 6 {
		t.Errorf("the log tells %d times that the scanner was unplugged twice:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	r.balance(central, 3)
}

// TestRelayUnplugged: without its relay the gate opens for nobody: the
// admission is followed by "not opened", the traveller sees staff, and staff
// know why. A board that does not answer is the same.
func TestRelayUnplugged(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 3)
	r := running(t, func(o *kiosk.Options) { o.Listed = guests })
	r.ready()
	if err := r.Relay.Unplug(); err != nil {
		t.Fatal(err)
	}
	r.mark()
	r.await("staff to be told of the barrier", soon, func(v view) bool { return v.notice("barrier", "relay") })
	tx := r.begin(guests[0])
	f := r.present(guests[0], nil)
	v := r.await("the traveller to be sent to staff", decideWithin, func(v view) bool { return v.Tx == tx && v.Stage == gate.StageSeeStaff })
	f.remove()
	if !v.has(gate.CodeBarrierFailed) || v.Passage != string(gate.PassageRefused) {
		t.Errorf("without the relay: %s", v.line())
	}
	if n := r.Relay.Opened(); n != 0 {
		t.Errorf("the gate opened %d times", n)
	}
	if err := r.Relay.Plug(); err != nil {
		t.Fatal(err)
	}
	r.mark()
	r.await("the relay to be back", soon, func(v view) bool { return !v.notice("barrier") })
	time.Sleep(500 * time.Millisecond)
	if n := r.Relay.Opened(); n != 0 {
		t.Errorf("the gate opened %d times when its relay came back", n)
	}
	r.admitted(guests[1])
	all := r.balance(central, 2)
	p := r.one(all, tx, wire.KindPassage).Passage
	if p.Result != wire.PassageNotOpened || p.Code != uint32(gate.CodeBarrierFailed) {
		t.Errorf("central holds passage %+v", p)
	}
}
