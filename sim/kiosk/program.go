package kiosk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	stopWithin = 10 * time.Second      // for a program to end by itself
	toolWithin = 60 * time.Second      // for one run of a tool; machines may be busy
	logLook    = 20 * time.Millisecond // between two looks into a log
	lastWords  = 2000                  // bytes of a log that an error quotes
)

// Program is one child process. Its output goes to a file.
type Program struct {
	name    string
	logFile string
	from    int64 // where this run's output begins in logFile
	process *os.Process
	done    chan struct{} // closed when it has ended and was waited for
	err     error         // read after done
}

// Command describes a program to start.
type Command struct {
	Name    string   // for messages
	LogFile string   // appended to
	Env     []string // added to ours
	Args    []string // the program first
}

// Start starts a program. It is killed when this process ends, however it
// ends: the kernel sends that signal when the starting thread ends (prctl(2),
// PR_SET_PDEATHSIG), which is why one locked thread starts it and waits.
func Start(c Command) (*Program, error) {
	out, err := os.OpenFile(c.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := out.Stat()
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &Program{name: c.Name, logFile: c.LogFile, from: info.Size(), done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		defer out.Close()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.process = cmd.Process
		started <- nil
		p.err = cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	return p, nil
}

// PID is the process id.
func (p *Program) PID() int { return p.process.Pid }

// Done is closed when the program has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// Running says whether it has not ended yet.
func (p *Program) Running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Log is what this run has written so far.
func (p *Program) Log() string {
	data, err := os.ReadFile(p.logFile)
	if err != nil || int64(len(data)) < p.from {
		return ""
	}
	return string(data[p.from:])
}

// Lines gives the lines of the log that contain every one of the words.
func (p *Program) Lines(words ...string) []string {
	var out []string
	for line := range strings.Lines(p.Log()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			out = append(out, strings.TrimRight(line, "\n"))
		}
	}
	return out
}

// AwaitLine waits for a line of the log that contains every one of the words.
func (p *Program) AwaitLine(ctx context.Context, words ...string) (string, error) {
	for {
		ended := !p.Running()
		if l := p.Lines(words...); len(l) > 0 {
			return l[0], nil
		}
		if ended {
			return "", fmt.Errorf("%s ended without the words %q: %w", p.name, words, p.Ended())
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s did not say %q: %w\n%s", p.name, words, ctx.Err(), p.tail())
		case <-p.done:
		case <-time.After(logLook):
		}
	}
}

// Wait waits for the end and gives the exit code; -1 after a signal.
func (p *Program) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return 0, fmt.Errorf("%s still runs: %w\n%s", p.name, ctx.Err(), p.tail())
	}
	var exit *exec.ExitError
	switch {
	case p.err == nil:
		return 0, nil
	case errors.As(p.err, &exit):
		return exit.ExitCode(), nil
	}
	return 0, p.err
}

// Terminate asks the program to end, as a service manager would.
func (p *Program) Terminate() error { return p.process.Signal(syscall.SIGTERM) }

// Kill ends the program at once and waits until it is gone.
func (p *Program) Kill() {
	if p == nil {
		return
	}
	_ = p.process.Kill() // fails only when it has ended already
	<-p.done
}

// Stop ends the program politely; one that does not end is killed and is an
// error.
func (p *Program) Stop() error {
	if !p.Running() { // a nil program never did
		return nil
	}
	if p.Terminate() != nil {
		<-p.done // it ended in between
		return nil
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopWithin):
	}
	p.Kill()
	return fmt.Errorf("%s did not end within %v of SIGTERM\n%s", p.name, stopWithin, p.tail())
}

// Ended describes an end that nobody asked for.
func (p *Program) Ended() error {
	if p.err == nil {
		return fmt.Errorf("%s ended with status 0\n%s", p.name, p.tail())
	}
	return fmt.Errorf("%s ended: %w\n%s", p.name, p.err, p.tail())
}

// tail quotes the end of the log.
func (p *Program) tail() string {
	text := p.Log()
	if len(text) > lastWords {
		text = "… " + text[len(text)-lastWords:]
	}
	return text + "(all of it: " + p.logFile + ")"
}

// Run runs a program to its end and gives its standard output.
func Run(ctx context.Context, program string, args ...string) ([]byte, error) {
	return RunOn(ctx, nil, program, args...)
}

// RunOn is Run with a standard input; nil is an empty one.
func RunOn(ctx context.Context, in io.Reader, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, toolWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
