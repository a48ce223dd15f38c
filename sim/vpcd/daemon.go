package vpcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// SocketVariable is the environment variable from which libpcsclite takes the
// socket of the daemon. It is read once in the life of a process.
const SocketVariable = "PCSCLITE_CSOCK_NAME"

const (
	// firstPort is where the driver's slot 0 listens; slot 1 is one above
	// (VPCDPORT of the vsmartcard project). It can be the same in every
	// daemon because each has its own network.
	firstPort = 35963
	slots     = 2

	readyWithin = 15 * time.Second
	stopWithin  = 5 * time.Second

	// maxSocketPath is sun_path of unix(7), less its final zero.
	maxSocketPath = 107
)

// drivers are the places where distributions keep the virtual reader driver.
var drivers = []string{
	"/usr/lib/pcsc/drivers/serial/libifdvpcd.so",
	"/usr/lib64/pcsc/drivers/serial/libifdvpcd.so",
	"/usr/local/lib/pcsc/drivers/serial/libifdvpcd.so",
}

// enclose runs inside the new namespaces. An empty /run hides the sockets of a
// pcscd and of the system bus that may run outside.
const enclose = `set -e
ip link set lo up
mount -t tmpfs -o mode=755 gateagent-vpcd /run
mkdir /run/pcscd
mount --bind "$1" /run/pcscd
exec pcscd --foreground --config "$2"
`

// Daemon is one private pcscd.
type Daemon struct {
	dir    string
	driver string
	log    *slog.Logger
	life   context.Context // ends the daemon; it spans every Start

	mu     sync.Mutex // guards what follows
	proc   *process
	unplug bool             // the daemon runs without a reader
	left   [slots]time.Time // when the last chip was removed from a slot
}

// process is one run of the daemon.
type process struct {
	os   *os.Process // also leads its own process group
	pid  int
	done chan struct{} // closed when it has ended and was waited for
	err  error         // why it ended; read after done
}

// StartDaemon starts a pcscd that keeps everything in dir, and returns when
// its readers are there. The daemon is stopped when ctx ends or by Stop.
func StartDaemon(ctx context.Context, dir string, log *slog.Logger) (*Daemon, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("private pcscd in %s: %w", dir, err)
	}
	d := &Daemon{dir: abs, log: log, life: ctx}
	if d.driver, err = requirements(); err != nil {
		return nil, err
	}
	if n := len(d.Socket()); n > maxSocketPath {
		return nil, fmt.Errorf("private pcscd: socket path %s has %d bytes, the system allows %d: use a shorter folder",
			d.Socket(), n, maxSocketPath)
	}
	if err := d.Start(); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = d.Stop() })
	return d, nil
}

// requirements finds what the daemon needs and names what is missing.
func requirements() (driver string, err error) {
	if os.Geteuid() != 0 {
		return "", errors.New("private pcscd: namespaces need root: run as root or by sudo")
	}
	for _, tool := range []string{"unshare", "ip", "mount", "pcscd"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("private pcscd: program %s is missing: run scripts/setup", tool)
		}
	}
	for _, d := range drivers {
		if _, err := os.Stat(d); err == nil {
			return d, nil
		}
	}
	return "", fmt.Errorf("private pcscd: the virtual reader driver %s is missing: run scripts/setup", drivers[0])
}

// Socket is the value for SocketVariable.
func (d *Daemon) Socket() string { return filepath.Join(d.runDir(), "pcscd.comm") }

// LogFile is where the daemon's own output goes.
func (d *Daemon) LogFile() string { return filepath.Join(d.dir, "pcscd.log") }

// PID is the process id of the running daemon, 0 when it is stopped.
func (d *Daemon) PID() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc == nil {
		return 0
	}
	return d.proc.pid
}

func (d *Daemon) runDir() string { return filepath.Join(d.dir, "run") }

// Start starts a stopped daemon again at the same socket.
func (d *Daemon) Start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc != nil {
		return errors.New("private pcscd: it runs already")
	}
	if err := d.prepare(); err != nil {
		return fmt.Errorf("private pcscd in %s: %w", d.dir, err)
	}
	p, err := d.launch()
	if err != nil {
		return fmt.Errorf("private pcscd in %s: %w", d.dir, err)
	}
	if err := d.waitReady(p); err != nil {
		p.end()
		return fmt.Errorf("private pcscd in %s: %w%s", d.dir, err, d.lastWords())
	}
	d.proc = p
	d.log.Debug("private pcscd started", "pid", p.pid, "socket", d.Socket())
	return nil
}

// prepare makes the private folders and the reader configuration. Whatever a
// killed predecessor left in the run folder would make pcscd hesitate.
func (d *Daemon) prepare() error {
	if err := os.RemoveAll(d.runDir()); err != nil {
		return err
	}
	for _, dir := range []string{d.runDir(), d.usbDropDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if d.unplug {
		return os.WriteFile(d.confFile(), []byte("# no reader\n"), 0o644)
	}
	conf := fmt.Sprintf("FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:0x%X\nLIBPATH %s\nCHANNELID 0x%X\n",
		firstPort, d.driver, firstPort)
	return os.WriteFile(d.confFile(), []byte(conf), 0o644)
}

func (d *Daemon) confFile() string { return filepath.Join(d.dir, "reader.conf") }

// usbDropDir stays empty: the private daemon must not take the real USB
// readers of the machine away from the real daemon.
func (d *Daemon) usbDropDir() string { return filepath.Join(d.dir, "no-usb-drivers") }

// launch starts the process. One locked thread starts it and waits for it: the
// parent death signal is sent when the starting *thread* ends (prctl(2)).
// Without --fork unshare replaces itself, so that the child is pcscd.
func (d *Daemon) launch() (*process, error) {
	out, err := os.OpenFile(d.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("unshare", "-n", "-m", "sh", "-c", enclose, "pcscd", d.runDir(), d.confFile())
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "PCSCLITE_HP_DROPDIR="+d.usbDropDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	p := &process{done: make(chan struct{})}
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
		p.os, p.pid = cmd.Process, cmd.Process.Pid
		started <- nil
		p.err = cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// waitReady waits until the socket answers and every slot listens. A file
// appearing in another namespace sends no event here, hence the short ticks.
func (d *Daemon) waitReady(p *process) error {
	ctx, cancel := context.WithTimeout(d.life, readyWithin)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("pcscd is not ready: %w", context.Cause(ctx))
		case <-p.done:
			return fmt.Errorf("pcscd ended at once: %w", p.err)
		case <-tick.C:
		}
		if !d.unplug && !allListening(p.pid) {
			continue
		}
		conn, err := net.Dial("unix", d.Socket())
		if err == nil {
			return conn.Close()
		}
	}
}

// lastWords quotes the end of the daemon's output, with the place of the rest.
func (d *Daemon) lastWords() string {
	text, err := os.ReadFile(d.LogFile())
	text = bytes.TrimSpace(text)
	if err != nil || len(text) == 0 {
		return ", without a word"
	}
	return fmt.Sprintf(", its last words: %q (all in %s)", text[bytes.LastIndexByte(text, '\n')+1:], d.LogFile())
}

// Stop ends the daemon and removes its socket. It is safe to call it twice.
func (d *Daemon) Stop() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc == nil {
		return nil
	}
	d.proc.end()
	d.log.Debug("private pcscd stopped", "pid", d.proc.pid)
	d.proc = nil
	return os.RemoveAll(d.runDir())
}

// SetReader says whether the daemon has its virtual reader from the next Start
// or Restart on. The driver knows no other way to unplug it.
func (d *Daemon) SetReader(there bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unplug = !there
}

// Kill ends the daemon as a crash would: at once, its stale socket stays.
func (d *Daemon) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc == nil {
		return
	}
	d.proc.kill()
	d.proc = nil
}

// Restart stops the daemon and starts it at the same socket. Cards that were
// inserted are gone.
func (d *Daemon) Restart() error {
	return errors.Join(d.Stop(), d.Start())
}

// end asks politely first, so that clients are told and the socket goes. The
// signals go through os.Process, which never hits a stranger with a reused id.
func (p *process) end() {
	if p.os.Signal(syscall.SIGTERM) == nil {
		select {
		case <-p.done:
			return
		case <-time.After(stopWithin):
		}
	}
	p.kill()
}

func (p *process) kill() {
	_ = p.os.Kill() // fails only when it has ended already
	<-p.done
}
