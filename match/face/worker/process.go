package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
)

// Config says how to start a worker.
type Config struct {
	// Command is the program and its first arguments: the agent itself with
	// the subcommand that calls Main.
	Command []string
	Pack    *pack.Pack
	Library string // libonnxruntime
	// Unconfined serves even where the kernel cannot confine the worker.
	Unconfined bool
	// Start and Request bound the start and each request; 0 stands for
	// DefaultStart and DefaultRequest.
	Start, Request time.Duration
	Log            *slog.Logger
}

// Bounds of time. The start includes reading models and library from a cold
// disk; a request is one picture, which takes some tens of milliseconds.
const (
	DefaultStart   = 10 * time.Second
	DefaultRequest = 2 * time.Second
)

// ErrGone says that the worker has ended or was ended: it crashed, hung or
// spoke nonsense.
var ErrGone = errors.New("face worker is gone")

// ErrStart says that a worker did not become ready: its pack, its library or
// the kernel does not suit.
var ErrStart = errors.New("face worker does not start")

// Process is a running worker. When a request fails with ErrGone, all that it
// knew is gone and another one has to be started.
type Process struct {
	cfg      Config
	cmd      *exec.Cmd
	in, out  *os.File
	turn     chan struct{} // holds one token: one request at a time
	dead     chan struct{}
	said     *tail
	state    ready
	started  time.Duration
	stopping chan struct{} // closed by retired
	retired  sync.Once
	why      atomic.Pointer[string] // it was killed; nil when it was not
}

// Start starts a worker and waits until it is ready.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	if len(cfg.Command) == 0 || cfg.Pack == nil || cfg.Library == "" || cfg.Log == nil {
		return nil, errors.New("face worker: command, pack, library and log are needed")
	}
	if cfg.Start == 0 {
		cfg.Start = DefaultStart
	}
	if cfg.Request == 0 {
		cfg.Request = DefaultRequest
	}
	p := &Process{cfg: cfg, turn: make(chan struct{}, 1), dead: make(chan struct{}), said: &tail{}, stopping: make(chan struct{})}
	begin := time.Now()
	if err := p.launch(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	if err := p.awaitReady(ctx); err != nil {
		p.Kill("it was not ready in time")
		<-p.dead
		return nil, fmt.Errorf("%w: %w%s", ErrStart, err, p.said)
	}
	p.started = time.Since(begin)
	p.turn <- struct{}{}
	if p.state.Confined != 1 {
		cfg.Log.Error("face worker runs UNCONFINED: its native code sees pictures and could open files and the network; run a kernel with seccomp")
	}
	return p, nil
}

func (p *Process) launch() error {
	dir, err := filepath.Abs(p.cfg.Pack.Dir())
	if err != nil {
		return err
	}
	lib, err := filepath.Abs(p.cfg.Library)
	if err != nil {
		return err
	}
	args := append(p.cfg.Command[1:len(p.cfg.Command):len(p.cfg.Command)],
		"--pack", dir, "--pin", p.cfg.Pack.Hash(), "--lib", lib)
	if p.cfg.Unconfined {
		args = append(args, "--unconfined")
	}
	childIn, in, err := os.Pipe()
	if err != nil {
		return err
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return errors.Join(err, childIn.Close(), in.Close())
	}
	cmd := exec.Command(p.cfg.Command[0], args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = childIn, childOut, p.said
	// Nothing of the agent's environment. One arena of the C library keeps
	// memory small; the runtime need not watch the limits of a container.
	cmd.Env = []string{"MALLOC_ARENA_MAX=1", "GOTRACEBACK=none", "GOMAXPROCS=2", "GODEBUG=containermaxprocs=0,updatemaxprocs=0"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // signals of a terminal are the agent's
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	childIn.Close()
	childOut.Close()
	if err != nil {
		return errors.Join(err, in.Close(), out.Close())
	}
	p.cmd, p.in, p.out = cmd, in, out
	go p.wait()
	return nil
}

// wait reaps the child.
func (p *Process) wait() {
	err := p.cmd.Wait()
	select {
	case <-p.stopping:
	default:
		why := "it ended by itself"
		if w := p.why.Load(); w != nil {
			why = *w
		}
		p.cfg.Log.Warn("face worker ended", "why", why, "how", fmt.Sprint(err), "said", p.said.first())
	}
	p.in.Close()
	p.out.Close()
	close(p.dead)
}

func (p *Process) awaitReady(ctx context.Context) error {
	limit := time.Now().Add(p.cfg.Start)
	if d, ok := ctx.Deadline(); ok && d.Before(limit) {
		limit = d
	}
	stop := context.AfterFunc(ctx, func() { p.out.SetReadDeadline(time.Now()) })
	defer stop()
	if err := p.out.SetReadDeadline(limit); err != nil {
		return err
	}
	k, body, err := readMessage(p.out, maxReply, nil)
	if err != nil {
		return err
	}
	if k != kindReady {
		return fmt.Errorf("reply %q instead of ready", byte(k))
	}
	return openAll(body, &p.state)
}

// Dead is closed when the process has ended.
func (p *Process) Dead() <-chan struct{} { return p.dead }

// Started is how long it took from starting the process to ready.
func (p *Process) Started() time.Duration { return p.started }

// Confined says whether the kernel confines the process.
func (p *Process) Confined() bool { return p.state.Confined == 1 }

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process at once. The log says why.
func (p *Process) Kill(why string) {
	p.why.CompareAndSwap(nil, &why)
	p.cmd.Process.Kill()
}

// Retire ends a process that has served its traveller. The kernel takes all of
// its memory back: whatever the C library, the runtime of the models or the
// collector had left of pictures and templates is gone.
func (p *Process) Retire() {
	p.retired.Do(func() { close(p.stopping) })
	p.cmd.Process.Kill()
	<-p.dead
}

// Retired says whether the process ended because it was told to.
func (p *Process) Retired() bool {
	select {
	case <-p.stopping:
		return true
	default:
		return false
	}
}

// Close lets the process end by itself, and ends it when it does not.
func (p *Process) Close() {
	p.retired.Do(func() { close(p.stopping) })
	select {
	case <-p.turn: // nothing is under way
		p.in.Close()
		select {
		case <-p.dead:
			return
		case <-time.After(2 * lastWords):
		}
	case <-p.dead:
		return
	case <-time.After(lastWords):
	}
	p.Kill("it did not end when asked to")
	<-p.dead
}

// Begin forgets whoever was before and starts with a new traveller, whose
// live pictures must reach the limits.
func (p *Process) Begin(ctx context.Context, l Limits) error {
	return p.call(ctx, kindBegin, l, nil, kindDone, nil)
}

// End wipes everything that the worker knows of the traveller, and gives the
// memory that it has then, in bytes.
func (p *Process) End(ctx context.Context) (resident uint64, err error) {
	var s size
	err = p.call(ctx, kindEnd, nil, nil, kindSize, &s)
	return s.Resident, err
}

// Look gives the worker a live picture. It takes data over and wipes it, also
// when it returns early because ctx ended.
func (p *Process) Look(ctx context.Context, w, h int, f picture.Format, data []byte) (Look, error) {
	n, err := formatNumber(f)
	if err != nil {
		clear(data)
		return Look{}, err
	}
	var l Look
	err = p.call(ctx, kindFrame, frameHead{n, uint32(w), uint32(h)}, data, kindLook, &l)
	return l, err
}

// Portrait gives the worker the proven portrait. It takes data over and wipes
// it like Look.
func (p *Process) Portrait(ctx context.Context, f picture.Format, data []byte) (Seen, error) {
	n, err := formatNumber(f)
	if err != nil {
		clear(data)
		return Seen{Problem: BadFormat}, nil
	}
	var s Seen
	err = p.call(ctx, kindPortrait, portraitHead{n}, data, kindSeen, &s)
	return s, err
}

// Compare gives the likeness of the best live picture and the portrait.
func (p *Process) Compare(ctx context.Context) (Match, error) {
	var m Match
	err := p.call(ctx, kindCompare, nil, nil, kindMatch, &m)
	return m, err
}

// checked is a reply that knows its range.
type checked interface{ check() error }

// call makes one request. When ctx ends first, the request goes on by itself
// within its own time, and reply is not touched any more.
func (p *Process) call(ctx context.Context, k kind, head any, data []byte, want kind, reply checked) error {
	select {
	case <-p.turn:
	case <-ctx.Done():
		clear(data)
		return ctx.Err()
	case <-p.dead:
		clear(data)
		return ErrGone
	}
	type result struct {
		body []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		body, err := p.exchange(k, head, data, want)
		done <- result{body, err}
		p.turn <- struct{}{}
	}()
	select {
	case r := <-done:
		if r.err != nil || reply == nil {
			return r.err
		}
		err := openAll(r.body, reply)
		if err == nil {
			err = reply.check()
		}
		if err != nil {
			return p.nonsense(err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// exchange writes the request and reads the reply within the request's time.
func (p *Process) exchange(k kind, head any, data []byte, want kind) ([]byte, error) {
	defer clear(data)
	limit := time.Now().Add(p.cfg.Request)
	if err := errors.Join(p.in.SetWriteDeadline(limit), p.out.SetReadDeadline(limit)); err != nil {
		return nil, ErrGone
	}
	err := writeMessage(p.in, k, head, data)
	var got kind
	var body []byte
	if err == nil {
		got, body, err = readMessage(p.out, maxReply, nil)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.Kill("it gave no answer in time")
		return nil, fmt.Errorf("%w: no answer in %v", ErrGone, p.cfg.Request)
	case err != nil:
		p.Kill("it does not answer")
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	case got == kindFault:
		p.Kill("its engine failed") // what broke once may be broken inside
		return nil, fmt.Errorf("%w: %s", ErrGone, printable(body, 200))
	case got != want:
		return nil, p.nonsense(fmt.Errorf("reply %q to request %q", byte(got), byte(k)))
	}
	return body, nil
}

func (p *Process) nonsense(err error) error {
	p.Kill("it speaks nonsense")
	return fmt.Errorf("%w: it speaks nonsense: %w", ErrGone, err)
}
