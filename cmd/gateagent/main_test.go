package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gateagent/drivers/pcsc"
	"gateagent/sim/doc"
	"gateagent/sim/vpcd"
)

// asProgram makes the test binary be gateagent itself, so that the whole
// program runs as a process of its own, with the race detector where the
// tests have it. asLane makes it a process that holds the lock of the reader
// it names until its input ends.
const (
	asProgram = "GATEAGENT_TEST_AS_PROGRAM"
	asLane    = "GATEAGENT_TEST_AS_LANE"
)

func TestMain(m *testing.M) {
	// The agent starts its worker without any environment.
	if os.Getenv(asProgram) != "" || len(os.Args) > 1 && os.Args[1] == "face-worker" {
		main()
		os.Exit(0)
	}
	if reader := os.Getenv(asLane); reader != "" {
		lock, err := pcsc.Lock(defaultRuntime(), reader)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = lock.Release()
		os.Exit(0)
	}
	if text := os.Getenv(killedAt); text != "" {
		dieBeforeForce(text)
	}
	dir, err := os.MkdirTemp("", "gateagent")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	field.dir = dir
	code := m.Run()
	field.stop()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// field is the pcscd of these tests, started when first wanted.
var field readerField

type readerField struct {
	dir    string
	once   sync.Once
	daemon *vpcd.Daemon
	err    error
}

func (f *readerField) start(t *testing.T) *vpcd.Daemon {
	t.Helper()
	f.once.Do(func() { f.daemon, f.err = vpcd.StartDaemon(context.Background(), f.dir, nil) })
	if f.err != nil {
		t.Fatal(f.err)
	}
	return f.daemon
}

func (f *readerField) stop() {
	if f.daemon != nil {
		_ = f.daemon.Stop()
	}
}

// day is when the documents of these tests are judged.
var day = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// world makes all documents of these tests.
var world = sync.OnceValue(func() *doc.World { return doc.NewWorld(77) })

// trustFolder holds the country certificates and revocation lists of all
// built-in states.
func trustFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(field.dir, "trust")
	trustOnce.Do(func() {
		if err := world().WriteTrust(dir); err != nil {
			t.Fatal(err)
		}
	})
	return dir
}

var trustOnce sync.Once

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
