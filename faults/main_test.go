//go:build faults

package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

var (
	seed    = flag.Uint64("seed", 0, "of what is random; 0: a new one, which is printed")
	kills   = flag.Int("kills", 24, "how often a process is killed in each test that kills")
	rounds  = flag.Int("rounds", 4, "how many faults of each kind the other tests make")
	backlog = flag.Int("backlog", 4000, "results that are decided in 72 hours without central")
)

// patience bounds every wait, on a busy machine too.
const patience = 60 * time.Second

// Made once, before the tests.
var (
	bin     string // folder of the programs
	preload string // the library of testdata/point.c
)

func TestMain(m *testing.M) {
	if path := os.Getenv(jobEnv); path != "" {
		if err := playKiosk(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "faults")
	if err == nil {
		defer os.RemoveAll(dir)
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 1
	}
	return m.Run()
}

func build(dir string) error {
	bin, preload = dir, filepath.Join(dir, "point.so")
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return fmt.Errorf("where is this source file?")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"go", "build", "-o", bin + "/", "../cmd/gatecentral", "../cmd/gatectl"},
		{"cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", preload, "testdata/point.c", "-ldl"},
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = filepath.Dir(here)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", args, err, out)
		}
	}
	return nil
}

// seeded gives what is random in a test, and prints the seed that repeats it.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d of %s", s, t.Name())
	return rand.New(rand.NewPCG(s, 0))
}

// between gives a time of chance.
func between(random *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(random.Int64N(int64(to-from)))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("did not happen in %v: %s", patience, what)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
