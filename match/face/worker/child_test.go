package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/match/face/engine"
	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
)

// The test program is its own worker: started with "worker" it serves the
// real engine, with "stub" one that does what a picture's first byte says.
func TestMain(m *testing.M) {
	var err error
	switch args := os.Args[1:]; {
	case len(args) > 0 && args[0] == "worker":
		err = Main(args[1:], os.Stdin, os.Stdout)
	case len(args) > 0 && args[0] == "stub":
		err = run(args[1:], os.Stdin, os.Stdout, func(p *pack.Pack, _ string) (models, error) {
			for _, role := range p.Roles() { // as the engine does
				if _, err := p.Bytes(role); err != nil {
					return nil, err
				}
			}
			return stub{}, nil
		})
	case len(args) > 0 && args[0] == "babble":
		babble(args[1])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// What the stub does, by the red of a picture's first pixel.
const (
	doFine = iota
	doCrash
	doHang
	doHangInKernel
	doEat
	doFail
	doOpen
	doCreate
	doSocket
	doConnect
	doFork
	doExec
	doTrace
	doSignal
	doExecutable
	doRaiseLimit
)

type stub struct{}

func (stub) Subject(p *picture.Picture) (engine.Face, error) {
	var errno error
	switch p.Pix[0] {
	case doCrash:
		*(*int)(nil) = 1
	case doHang:
		//lint:ignore SA5002 it stands for native code that spins
		for {
		}
	case doHangInKernel:
		unix.Nanosleep(&unix.Timespec{Sec: 3600}, nil)
	case doEat:
		var all [][]byte
		for {
			b := make([]byte, 32<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
			if len(all) > 1000 {
				return engine.Face{}, errors.New("all of it was given")
			}
		}
	case doFail:
		return engine.Face{}, errors.New("the engine failed")
	default:
		errno = escape(p.Pix[0])
	}
	if p.Pix[0] >= doOpen {
		return engine.Face{}, fmt.Errorf("outcome %v", errno)
	}
	return engine.Face{Left: 100, Top: 100, Width: 120, Height: 150, Score: 0.9, Points: [5]picture.Point{
		{X: 130, Y: 150}, {X: 190, Y: 150}, {X: 160, Y: 180}, {X: 136, Y: 210}, {X: 184, Y: 210}}}, nil
}

// escape tries what the confinement must deny.
func escape(what byte) error {
	switch what {
	case doOpen:
		_, err := os.ReadFile("/etc/hostname")
		return err
	case doCreate:
		return os.WriteFile("/tmp/face-worker-was-here", nil, 0o600)
	case doSocket:
		_, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		return err
	case doConnect:
		return unix.Connect(0, &unix.SockaddrUnix{Name: "/run/systemd/journal/socket"})
	case doFork:
		_, _, errno := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
		return errno
	case doExec:
		return unix.Exec("/bin/true", []string{"true"}, nil)
	case doTrace:
		return unix.PtraceAttach(os.Getppid())
	case doSignal:
		return unix.Tgkill(os.Getppid(), os.Getppid(), unix.SIGTERM)
	case doExecutable:
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
		return err
	case doRaiseLimit:
		return unix.Prlimit(0, unix.RLIMIT_AS, &unix.Rlimit{Cur: math.MaxInt64, Max: math.MaxInt64}, nil)
	}
	return nil
}

func (s stub) Portrait(p *picture.Picture) (engine.Face, error) { return s.Subject(p) }

func (stub) Template(p *picture.Picture, _ engine.Face) (engine.Template, error) {
	return engine.Template{float32(p.Pix[1]), 1}, nil
}

func (stub) Live(*picture.Picture, engine.Face) (float64, error) { return 0.75, nil }

// babble is a worker that a picture has taken over.
func babble(how string) {
	if how != "mute" {
		writeMessage(os.Stdout, kindReady, ready{Confined: 1}, nil)
	}
	readMessage(os.Stdin, maxRequest, nil)
	switch how {
	case "long":
		os.Stdout.Write([]byte{0xFF, 0xFF, 0xFF, 0xFF, byte(kindMatch)})
	case "short":
		writeMessage(os.Stdout, kindMatch, nil, []byte("x"))
	case "more":
		writeMessage(os.Stdout, kindMatch, Match{}, []byte("x"))
	case "other":
		writeMessage(os.Stdout, kindDone, nil, nil)
	case "nan":
		writeMessage(os.Stdout, kindMatch, Match{Have: true, Score: math.NaN()}, nil)
	case "beyond":
		writeMessage(os.Stdout, kindMatch, Match{Have: true, Score: 1.01}, nil)
	case "mute":
		io.Copy(io.Discard, os.Stdin)
	}
}

// stubPack is a pack whose models are never run.
func stubPack(t testing.TB) *pack.Pack {
	t.Helper()
	in := func(side int) pack.Input {
		return pack.Input{Name: "in", Width: side, Height: side, Order: "bgr", Scale: [3]float32{1, 1, 1}}
	}
	m := pack.Manifest{
		Format: pack.Format, Name: "stub", Version: "1", Kind: pack.Demo, Origin: "made up", Licence: "none",
		Files:    map[pack.Role]pack.File{pack.RoleDetector: {Name: "d.onnx"}, pack.RoleEmbedder: {Name: "e.onnx"}},
		Detector: pack.Detector{Kind: pack.YuNet, Input: in(320), Outputs: []string{"c", "o", "b", "k"}, Strides: []int{8}, Score: 0.6, Overlap: 0.3},
		Embedder: pack.Embedder{Input: in(128), Output: "out", Dims: 16, StartThreshold: 0.45,
			Points: [5][2]float64{{0.3, 0.4}, {0.7, 0.4}, {0.5, 0.6}, {0.35, 0.8}, {0.65, 0.8}}},
	}
	dir := filepath.Join(t.TempDir(), "pack")
	if err := pack.Write(dir, m, map[pack.Role][]byte{pack.RoleDetector: []byte("d"), pack.RoleEmbedder: []byte("e")}); err != nil {
		t.Fatal(err)
	}
	p, err := pack.Open(dir, pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func start(t testing.TB, p *pack.Pack, lib string, command ...string) (*Process, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return Start(ctx, Config{
		Command: append([]string{self}, command...), Pack: p, Library: lib,
		Request: 1500 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
}

func startStub(t testing.TB) *Process {
	t.Helper()
	p, err := start(t, stubPack(t), "/none", "stub")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.Begin(t.Context(), anything()); err != nil {
		t.Fatal(err)
	}
	return p
}

// anything lets every face through.
func anything() Limits {
	return Limits{InterEye: 1, Yaw: 180, Pitch: 180, Roll: 180, Occlusion: 1}
}

// order is a picture that tells the stub what to do.
func order(what, template byte) []byte {
	b := make([]byte, 3*320*320)
	b[0], b[1] = what, template
	return b
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func procPath(p *Process, name string) string { return fmt.Sprintf("/proc/%d/%s", p.PID(), name) }
