package uplink_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateagent/central"
	"gateagent/central/enrol"
	"gateagent/gate/wire"
	"gateagent/offline"
	"gateagent/uplink"
)

// The drain is measured between processes: kiosk and central are this binary
// again, the broker is mosquitto, and this process is the slow line between
// kiosk and broker.

// drainEnv makes this binary play a part of the drain; it holds the task.
const drainEnv = "UPLINK_TEST_DRAIN"

// profileEnv names a folder for processor profiles of the parts.
const profileEnv = "UPLINK_TEST_PROFILE"

// drainTask is what such a process is to do.
type drainTask struct {
	Role   string // roleCentral, roleKiosk, or a peer
	Dir    string // its state folder
	Broker string
	// What a peer sends.
	Results, Size int
}

const (
	roleCentral = "central"
	roleKiosk   = "kiosk"
)

// drained is what a kiosk's process tells when its outbox is empty.
type drained struct {
	Results int
	Took    time.Duration
	Idle    uint64 // resident bytes, before it begins
	Peak    uint64
	Heap    uint64 // most of what the heap held
}

func playDrain(data string) error {
	var task drainTask
	if err := json.Unmarshal([]byte(data), &task); err != nil {
		return err
	}
	if dir := os.Getenv(profileEnv); dir != "" {
		f, err := os.Create(filepath.Join(dir, task.Role+".prof"))
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	switch task.Role {
	case roleCentral:
		return playCentral(task)
	case roleKiosk:
		return playDrainingKiosk(task)
	}
	return playPeer(task)
}

// playCentral is central until its standard input ends.
func playCentral(task drainTask) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	svc, err := central.Open(ctx, central.Config{State: task.Dir, Brokers: []string{task.Broker}, HTTP: "127.0.0.1:0", Names: []string{"127.0.0.1"}},
		slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	for !svc.Connected() {
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent, too
	cancel()
	return <-done
}

// playDrainingKiosk opens its outbox, says so, and with the next line begins
// to send.
func playDrainingKiosk(task drainTask) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	id, err := wire.LoadIdentity(filepath.Join(task.Dir, wire.IdentityFolder))
	if err != nil {
		return err
	}
	id.Broker = []string{task.Broker}
	box, err := openBox(ctx, task.Dir, id)
	if err != nil {
		return err
	}
	up, err := uplink.New(uplink.Config{Identity: id, Store: box, Status: func() wire.Status { return wire.Status{} },
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	out := drained{Results: box.Depth()}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	memory := watchMemory()
	done := make(chan error, 1)
	begin := time.Now()
	go func() { done <- up.Run(ctx) }()
	for box.Depth() > 0 {
		time.Sleep(time.Millisecond)
	}
	out.Took = time.Since(begin)
	out.Idle, out.Peak, out.Heap = memory()
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		return err
	}
	cancel()
	return <-done
}

func openBox(ctx context.Context, dir string, id *wire.Identity) (*offline.Outbox, error) {
	return offline.Open(ctx, offline.Config{Dir: dir, Kiosk: kiosk, MinFree: -1, Timeout: patience, Seal: id.SealTo})
}

// part is a process that plays a part.
type part struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startPart(t testing.TB, task drainTask) *part {
	t.Helper()
	data, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &part{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), drainEnv+"="+string(data))
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // has ended unless the test failed
	if line, err := p.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("%s said %q, %v", task.Role, line, err)
	}
	return p
}

// end lets the process end and gives the processor time that it used.
func (p *part) end(t testing.TB) time.Duration {
	t.Helper()
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// cpu is the processor time that a process has used so far.
func cpu(t testing.TB, pid int) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	var user, system int64
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for itself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// backlog is a central and a kiosk of its fleet with results that wait,
// prepared once and copied for each run.
type backlog struct {
	dir    string
	id     *wire.Identity
	broker *benchBroker
	size   int // average of the stored bodies
	n      int
}

func newBacklog(b *testing.B, n int) *backlog {
	b.Helper()
	l := &backlog{dir: b.TempDir(), n: n}
	reg, err := enrol.Open(b.Context(), filepath.Join(l.dir, roleCentral))
	if err != nil {
		b.Fatal(err)
	}
	l.broker = startBenchBroker(b, reg)
	keys, err := wire.NewKioskKeys(kiosk)
	if err != nil {
		b.Fatal(err)
	}
	req, err := keys.Request(time.Now())
	if err != nil {
		b.Fatal(err)
	}
	data, err := enrol.Encode(req)
	if err != nil {
		b.Fatal(err)
	}
	bundle, err := reg.Add(b.Context(), data, enrol.Options{Broker: []string{"tls://" + l.broker.addr}}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	if l.id, err = wire.NewIdentity(keys, bundle); err != nil {
		b.Fatal(err)
	}
	state := filepath.Join(l.dir, roleKiosk)
	folder := filepath.Join(state, wire.IdentityFolder)
	if err := os.MkdirAll(state, 0o700); err != nil {
		b.Fatal(err)
	}
	if err := keys.Save(folder); err != nil {
		b.Fatal(err)
	}
	bytes, err := enrol.Encode(bundle)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := wire.InstallBundle(folder, bytes, false); err != nil {
		b.Fatal(err)
	}
	if err := reg.Close(); err != nil {
		b.Fatal(err)
	}
	l.fill(b, state)
	return l
}

// fill appends as a lane does.
func (l *backlog) fill(b *testing.B, state string) {
	b.Helper()
	box, err := openBox(b.Context(), state, l.id)
	if err != nil {
		b.Fatal(err)
	}
	for n := range l.n {
		if _, err := box.Append(b.Context(), realRecord(n)); err != nil {
			b.Fatal(err)
		}
	}
	_, some, err := box.Pending(b.Context(), 0, wire.MaxBatchEntries, wire.BatchRoom)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range some {
		l.size += len(e.Body)
	}
	l.size /= max(len(some), 1)
	if err := box.Close(); err != nil {
		b.Fatal(err)
	}
}

// realRecord is what a gate writes at the usual level: an admission with all
// its checks, then its passage.
func realRecord(n int) wire.Record {
	rec := wire.Record{V: wire.RecordVersion, Kind: wire.KindPassage, Tx: fmt.Sprintf("%032x", n/2), Gate: "G12",
		At: time.Now().UTC().Round(time.Millisecond), SinceBoot: int64(n), BootID: "7c5d2f0e-3a49-4a0c-9d7e-54f1b1f1a001", ClockTrusted: true, ClockSource: "kernel"}
	if n%2 == 1 {
		rec.Passage = &wire.Passage{Result: wire.PassagePassed}
		return rec
	}
	rec.Kind = wire.KindDecision
	rec.Decision = &wire.Decision{Outcome: wire.OutcomeAdmit, Reasons: []uint32{}, Overall: "passed", Policy: "default", Face: "off",
		List: wire.List{Answer: "listed", Generation: 3, Version: uint64(n)}, DocRef: "2026-11." + fmt.Sprintf("%032x", n), Issuer: "VNM", DocType: "I",
		PhaseMS: map[string]int64{"access": 212, "prove": 940, "read": 1410, "total": 1630}}
	for _, id := range []string{"access.pace", "chip.active", "chip.authentication", "document.expiry", "document.hash", "document.issuer", "document.list",
		"document.mrz", "document.revoked", "document.signature", "document.trust", "list.answer", "scan.match", "time.trusted"} {
		rec.Decision.Checks = append(rec.Decision.Checks, wire.Check{ID: id, Result: "passed"})
	}
	return rec
}

// copies gives a run folders of its own.
func (l *backlog) copies(b *testing.B) string {
	b.Helper()
	to := filepath.Join(b.TempDir(), "run")
	for _, role := range []string{roleCentral, roleKiosk} {
		restore(b, filepath.Join(l.dir, role), filepath.Join(to, role))
	}
	syscall.Sync() // what was copied is not to be written during the run
	return to
}

// drainRun is one run and what each part used.
type drainRun struct {
	drained
	Kiosk, Central, Broker, Line time.Duration
}

// run drains the backlog once over a line of the given round trip and checks
// that central has every result.
func (l *backlog) run(b *testing.B, roundTrip time.Duration) drainRun {
	b.Helper()
	dir := l.copies(b)
	line := newSlowLine(b, l.broker.addr, roundTrip/2)
	c := startPart(b, drainTask{Role: roleCentral, Dir: filepath.Join(dir, roleCentral), Broker: "tls://" + l.broker.addr})
	k := startPart(b, drainTask{Role: roleKiosk, Dir: filepath.Join(dir, roleKiosk), Broker: "tls://" + line.addr()})
	before := [...]time.Duration{cpu(b, k.cmd.Process.Pid), cpu(b, c.cmd.Process.Pid), cpu(b, l.broker.cmd.Process.Pid), ownCPU()}
	if _, err := io.WriteString(k.in, "go\n"); err != nil {
		b.Fatal(err)
	}
	var r drainRun
	if err := json.NewDecoder(k.out).Decode(&r.drained); err != nil {
		b.Fatal(err)
	}
	r.Kiosk, r.Central = cpu(b, k.cmd.Process.Pid)-before[0], cpu(b, c.cmd.Process.Pid)-before[1]
	r.Broker, r.Line = cpu(b, l.broker.cmd.Process.Pid)-before[2], ownCPU()-before[3]
	k.end(b)
	c.end(b)
	line.close()
	l.check(b, filepath.Join(dir, roleCentral))
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
	return r
}

// peer lets a peer send n messages once over the same line.
func (l *backlog) peer(b *testing.B, role string, n int, roundTrip time.Duration) drained {
	b.Helper()
	dir := filepath.Join(b.TempDir(), role)
	restore(b, filepath.Join(l.dir, roleKiosk, wire.IdentityFolder), filepath.Join(dir, wire.IdentityFolder))
	line := newSlowLine(b, l.broker.addr, roundTrip/2)
	defer line.close()
	p := startPart(b, drainTask{Role: role, Dir: dir, Broker: "tls://" + line.addr(), Results: n, Size: l.size})
	var d drained
	_, err := io.WriteString(p.in, "go\n")
	if err == nil {
		err = json.NewDecoder(p.out).Decode(&d)
	}
	if err != nil {
		b.Fatal(err)
	}
	p.end(b)
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
	return d
}

// check counts at central.
func (l *backlog) check(b *testing.B, dir string) {
	b.Helper()
	reg, err := enrol.Open(b.Context(), dir)
	if err != nil {
		b.Fatal(err)
	}
	defer reg.Close()
	a, err := reg.Store.Audit(b.Context(), kiosk)
	if err != nil {
		b.Fatal(err)
	}
	if a.Results != int64(l.n) || a.Expired != 0 || len(a.Faults) > 0 {
		b.Fatalf("central has %d of %d results; faults: %q", a.Results, l.n, a.Faults)
	}
}
