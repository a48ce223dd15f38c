package worker

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"gateagent/match/face/picture"
)

func look(p *Process, ctx context.Context, what, template byte) (Look, error) {
	return p.Look(ctx, 320, 320, picture.RGB, order(what, template))
}

// What breaks in the worker breaks the worker, within the request's time.
func TestBreaks(t *testing.T) {
	for name, what := range map[string]byte{
		"crash": doCrash, "hang": doHang, "hang in the kernel": doHangInKernel, "eats memory": doEat, "engine fails": doFail,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startStub(t)
			if l, err := look(p, t.Context(), doFine, 1); err != nil || l.Problem != Fine || !l.Kept || l.Live != 0.75 {
				t.Fatalf("a fine picture: %+v, %v", l, err)
			}
			begin := time.Now()
			if l, err := look(p, t.Context(), what, 1); !errors.Is(err, ErrGone) {
				t.Fatalf("got %+v, %v; want ErrGone", l, err)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			select {
			case <-p.Dead():
			case <-time.After(5 * time.Second):
				t.Fatal("the process lives")
			}
			if _, err := p.Compare(t.Context()); !errors.Is(err, ErrGone) {
				t.Errorf("afterwards: %v; want ErrGone", err)
			}
		})
	}
}

// The confinement is tried for real, from inside.
func TestConfinement(t *testing.T) {
	const denied = "operation not permitted"
	for _, c := range []struct {
		name string
		what byte
		want string // outcome; empty: the kernel ends the process
	}{
		{"open a file", doOpen, denied},
		{"create a file", doCreate, denied},
		{"socket", doSocket, denied},
		{"connect", doConnect, denied},
		{"fork", doFork, denied},
		{"run a program", doExec, ""},
		{"trace the parent", doTrace, ""},
		{"signal the parent", doSignal, denied},
		{"executable memory", doExecutable, denied},
		{"raise a limit", doRaiseLimit, denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := startStub(t)
			if !p.Confined() {
				t.Fatal("the worker says that it is not confined")
			}
			_, err := look(p, t.Context(), c.what, 0)
			if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if c.want == "" {
				<-p.Dead()
				if how := p.cmd.ProcessState.String(); !strings.Contains(how, "bad system call") {
					t.Errorf("it ended by %q", how)
				}
			}
		})
	}
}

func TestNoDumps(t *testing.T) {
	p := startStub(t)
	limits, err := os.ReadFile(procPath(p, "limits"))
	if err != nil {
		t.Skipf("another process cannot be looked into without privileges: %v", err)
	}
	for _, line := range strings.Split(string(limits), "\n") {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && (f[4] != "0" || f[5] != "0") {
			t.Errorf("core dumps are allowed: %s", line)
		}
	}
	status, err := os.ReadFile(procPath(p, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Seccomp:\t2", "NoNewPrivs:\t1"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("status lacks %q", want)
		}
	}
	// Input, output, error; all else is the runtime's own.
	fds, err := os.ReadDir(procPath(p, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink(procPath(p, "fd") + "/" + fd.Name())
		if err == nil && !strings.HasPrefix(to, "pipe:") && !strings.HasPrefix(to, "anon_inode:") && !strings.HasSuffix(to, "/statm") {
			t.Errorf("file %s is open: %s", fd.Name(), to)
		}
	}
}

// A worker that was taken over cannot make the parent believe nonsense.
func TestNonsense(t *testing.T) {
	for _, how := range []string{"long", "short", "more", "other", "nan", "beyond"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			p, err := start(t, stubPack(t), "/none", "babble", how)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if m, err := p.Compare(t.Context()); !errors.Is(err, ErrGone) {
				t.Errorf("got %+v, %v", m, err)
			}
		})
	}
}

func TestStartFails(t *testing.T) {
	p := stubPack(t)
	if _, err := start(t, p, "/none", "worker"); !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "/none") {
		t.Errorf("no library: %v", err)
	}
	if err := os.WriteFile(p.Path("embedder"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, p, "/none", "stub"); !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "hash") {
		t.Errorf("another model: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	self, _ := os.Executable()
	begin := time.Now()
	_, err := Start(ctx, Config{Command: []string{self, "babble", "mute"}, Pack: stubPack(t), Library: "/none", Log: quiet()})
	if !errors.Is(err, ErrStart) || time.Since(begin) > 3*time.Second {
		t.Errorf("a worker that is never ready: %v after %v", err, time.Since(begin))
	}
}

// The worker ends when its parent does, also while native code hangs.
func TestOrphanEnds(t *testing.T) {
	for name, what := range map[string]byte{"idle": doFine, "hanging": doHang} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startStub(t)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			look(p, ctx, what, 0)
			p.in.Close() // as the kernel does for a parent that died
			select {
			case <-p.Dead():
			case <-time.After(5 * time.Second):
				t.Error("it lives on")
			}
		})
	}
}

// A traveller who leaves early does not cost the worker.
func TestCallerLeavesEarly(t *testing.T) {
	p := startStub(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	data := order(doFine, 1)
	data[5] = 7
	if _, err := p.Look(ctx, 320, 320, picture.RGB, data); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := look(p, t.Context(), doFine, 1); err != nil {
		t.Fatalf("the next request: %v", err)
	}
	for i, v := range data {
		if v != 0 {
			t.Fatalf("byte %d of the picture is left", i)
		}
	}
}

func TestKeepsTheBestAndForgets(t *testing.T) {
	p := startStub(t)
	if m, err := p.Compare(t.Context()); err != nil || m.Have {
		t.Fatalf("before: %+v, %v", m, err)
	}
	if l, err := look(p, t.Context(), doFine, 100); err != nil || !l.Kept || l.Changed {
		t.Fatalf("first: %+v, %v", l, err)
	}
	if l, err := look(p, t.Context(), doFine, 90); err != nil || l.Kept || l.Changed {
		t.Fatalf("second, no better: %+v, %v", l, err)
	}
	// Another direction is another person, and the first one is forgotten.
	if l, err := look(p, t.Context(), doFine, 0); err != nil || !l.Changed || !l.Kept {
		t.Fatalf("another person: %+v, %v", l, err)
	}
	if n, err := p.End(t.Context()); err != nil || n < 1<<20 || n > 1<<30 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if m, err := p.Compare(t.Context()); err != nil || m.Have || m.Good != 0 {
		t.Fatalf("after the end: %+v, %v", m, err)
	}
	if err := p.Begin(t.Context(), Limits{}); err != nil {
		t.Fatal(err)
	}
	if l, err := look(p, t.Context(), doFine, 100); err != nil || l.Kept {
		t.Errorf("limits that are not set let a face through: %+v, %v", l, err)
	}
}
