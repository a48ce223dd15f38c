package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/sim/kiosk"
)

// smallDisk gives the agent a state folder on a small disk of its own, in a
// mount namespace that ends with it.
const smallDisk = `set -e
cp -a "$1/identity" "$1.identity"
mount -t tmpfs -o size=96m,mode=700 e2e-small-disk "$1"
cp -a "$1.identity" "$1/identity"
shift
exec "$@"
`

// fill writes a file on the agent's disk until only free bytes are left.
func (r *rig) fill(free int64) {
	r.t.Helper()
	dir := fmt.Sprintf("/proc/%d/root%s", r.Agent.PID(), r.State())
	f, err := os.OpenFile(filepath.Join(dir, "fill"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		r.t.Fatal(err)
	}
	_, err = io.CopyN(f, zeros{}, int64(fs.Bavail)*fs.Bsize-free)
	for free == 0 && err == nil { // to the last byte
		_, err = f.Write(make([]byte, 512))
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		r.t.Fatal(err)
	}
}

// drain frees the agent's disk.
func (r *rig) drain() {
	r.t.Helper()
	if err := os.Remove(fmt.Sprintf("/proc/%d/root%s/fill", r.Agent.PID(), r.State())); err != nil {
		r.t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestDiskFull: without room for the record nobody is admitted, the lane says
// that it is out of order and why, and when there is room again it serves and
// has lost and doubled nothing.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	own := ownCentral(t)
	guests := citizens(t, 4)
	r := running(t, func(o *kiosk.Options) {
		o.Listed, o.Central = guests, own
		o.Wrap = []string{"unshare", "-m", "sh", "-c", smallDisk, "sh", filepath.Join(o.Dir, "state")}
	})
	r.ready()
	r.admitted(guests[0])

	own.Kill()       // what is recorded now is acknowledged on the full disk
	r.fill(20 << 20) // little is left: nobody is admitted, but it is recorded
	low := r.visit(guests[1], nil)
	r.explained(low)
	if low.Outcome != gate.Refer.String() || !low.has(gate.CodeStoreFailed) {
		t.Errorf("with little room left: %s", low.line())
	}
	r.await("staff to be told of the disk", soon, func(v view) bool { return v.notice("disk", "MiB are free") })

	r.fill(0)
	full := r.visit(guests[2], nil)
	r.explained(full)
	if full.Outcome != gate.Refer.String() || !full.has(gate.CodeStoreFailed) {
		t.Errorf("on a full disk: %s", full.line())
	}
	r.await("the lane to be out of order", soon, func(v view) bool {
		return v.Stage == gate.StageOutOfOrder && v.notice("store", "free disk space")
	})
	r.helpWhileFull()
	if err := own.Start(r.within(startWithin)); err != nil {
		t.Fatal(err)
	}
	r.mark()
	r.await("staff to be told that acknowledgements cannot be stored", startWithin, func(v view) bool {
		return v.notice("outbox", "could not be stored")
	})
	if v := r.now(); v.notice("uplink alarm") {
		t.Errorf("a full disk raises an alarm: %s", v.line())
	}
	if n := len(r.said("level=ERROR")); n > 6 {
		t.Errorf("the log has %d errors", n)
	}
	if n := r.Relay.Opened(); n != 1 {
		t.Errorf("the gate opened %d times, one was admitted", n)
	}
	r.drain()
	r.mark()
	r.await("the lane to recover", soon, func(v view) bool {
		return v.Stage == gate.StageIdle && !v.notice("store") || v.Stage == gate.StageHelpComing
	})
	r.admitted(guests[3])
	all := r.balance(own, 5)
	for _, v := range []view{low, full} {
		d := r.one(all, v.Tx, wire.KindDecision).Decision
		if d.Outcome != wire.OutcomeRefer || len(d.Reasons) == 0 || d.Reasons[0] != uint32(gate.CodeStoreFailed) {
			t.Errorf("central holds %+v of a transaction that could not be stored at once", d)
		}
	}
}

// helpWhileFull: a call for help reaches staff although nothing can be stored.
func (r *rig) helpWhileFull() {
	r.t.Helper()
	if err := r.Pages.Help(r.ctx); err != nil {
		r.t.Error(err)
	}
	time.Sleep(2500 * time.Millisecond) // over two rounds of the lane
	if v := r.now(); !v.Help {
		r.t.Errorf("a call for help is forgotten while nothing can be stored: %s", v.line())
	}
}

// ownCentral is a central that a test may kill.
func ownCentral(t *testing.T) *kiosk.Central {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	own, err := kiosk.NewCentral(ctx, bin, filepath.Join(root, t.Name()), nil)
	t.Cleanup(func() {
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// TestCentralUnreachable: the gate serves without central, also after a start
// without it, and everything arrives once when it is back.
func TestCentralUnreachable(t *testing.T) {
	t.Parallel()
	own := ownCentral(t)
	guests := citizens(t, 4)
	r := running(t, func(o *kiosk.Options) { o.Listed, o.Central = guests, own })
	r.ready()
	r.admitted(guests[0])
	own.Kill()
	r.mark()
	v := r.await("staff to be told that central is away", soon, func(v view) bool { return !v.UplinkUp && v.notice("uplink") })
	for _, n := range v.Notices {
		t.Logf("notice: %s %s: %s", n.Level, n.Source, n.Text)
	}
	r.admitted(guests[1])
	r.admitted(guests[2])
	r.mark()
	r.await("the results to wait", soon, func(v view) bool { return v.QueueDepth >= 4 })
	if err := r.Agent.Stop(); err != nil {
		t.Fatal(err)
	}
	r.start() // without central
	r.ready()
	r.admitted(guests[3])
	if n := len(r.said("level=WARN", "broker")) + len(r.said("level=ERROR")); n > 5 {
		t.Errorf("the log complains %d times of the broker", n)
	}
	if err := own.Start(r.within(startWithin)); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	all := r.balance(own, 4)
	t.Logf("%d records were at central %v after it was back", len(all), time.Since(back).Round(10*time.Millisecond))
	if len(all) != 8 {
		t.Errorf("central holds %d records, expected 8", len(all))
	}
	r.mark()
	r.await("the queue to be empty", soon, func(v view) bool { return v.QueueDepth == 0 && v.UplinkUp && !v.notice("uplink") })
}
