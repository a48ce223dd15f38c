package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// stopWithin is how long a program may take to end before it is killed.
const stopWithin = 8 * time.Second

// program is a child process in a process group of its own, so that a Ctrl-C
// reaches it only through us. It dies with us whatever happens.
type program struct {
	name    string
	logFile string
	process *os.Process
	done    chan struct{} // closed when it has ended and was waited for
	err     error         // how it ended; read after done
}

// startProgram starts a program whose output goes to logFile and, line by
// line, to heard (which may be nil). One locked thread starts it and waits for
// it: the death signal is sent when the starting thread ends (prctl(2),
// PR_SET_PDEATHSIG).
func startProgram(logFile string, env []string, heard func(line string), path string, args ...string) (*program, error) {
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	if heard != nil {
		cmd.Stdout = &lines{to: out, heard: heard}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &program{name: filepath.Base(path), logFile: logFile, done: make(chan struct{})}
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
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// stop ends the program politely, then by force.
func (p *program) stop() error {
	if p == nil {
		return nil
	}
	if p.process.Signal(syscall.SIGTERM) != nil {
		<-p.done // it had ended already
		return nil
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopWithin):
	}
	p.kill()
	return fmt.Errorf("%s did not end within %v of SIGTERM and was killed; see %s", p.name, stopWithin, p.logFile)
}

// kill ends the program as a power cut would.
func (p *program) kill() {
	_ = p.process.Kill() // fails only when it has ended already
	<-p.done
}

// ended describes a program that ended although nobody asked it to.
func (p *program) ended() error {
	return fmt.Errorf("%s ended by itself (%w): %s", p.name, orEnded(p.err), lastLine(p.logFile))
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// lastLine is what a program said last, and where the rest is.
func lastLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "see " + path
	}
	data = bytes.TrimSpace(data)
	return fmt.Sprintf("%s (all of it: %s)", data[bytes.LastIndexByte(data, '\n')+1:], path)
}

// lines passes output on and tells of each whole line.
type lines struct {
	to    *os.File
	heard func(string)
	rest  []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			break
		}
		l.heard(string(line))
		l.rest = bytes.Clone(rest)
	}
	return l.to.Write(b)
}

// toolWithin bounds one run of gatectl.
const toolWithin = 30 * time.Second

// runTool runs a program to its end and gives its standard output.
func runTool(ctx context.Context, path string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, toolWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", filepath.Base(path), args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
