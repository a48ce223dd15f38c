package e2e

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/sim/doc"
	"gateagent/sim/kiosk"
)

// parallel is how many gates stand at once. Most of their time is waiting: the
// virtual reader needs 0.9 s for each insertion.
const parallel = 6

// Shared by all tests; set before they run and only read after.
var (
	bin     string // folder of the programs
	trust   string // folder of country certificates
	root    string // temporary folder of this run, short for sockets
	world   *doc.World
	central *kiosk.Central
)

// devices is how many threads play chips, boards and scanners. In truth each is
// a machine of its own: with one thread for each processor a chip that computes
// would keep a relay board from answering in time.
const devices = 16

func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(max(devices, runtime.NumCPU()))
	os.Exit(run(m))
}

// beOnTime puts this process and its children before the other tests that may
// run on the machine: what it plays is hardware, which keeps its times whatever
// the kiosk's processor does. All of it together needs a third of a processor.
func beOnTime() {
	const nice = -10
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, nice) // without the right to it the tests are the slower
		}
	}
}

func run(m *testing.M) (code int) {
	defer func() {
		if root == "" {
			return
		}
		if err := os.RemoveAll(root); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			code = 1
		}
	}()
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer func() {
		if err := central.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			code = 1
		}
	}()
	return m.Run()
}

func prepare() (err error) {
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(fmt.Sprint(parallel)); err != nil {
			return err
		}
	}
	if root, err = os.MkdirTemp("", "e2e"); err != nil {
		return err
	}
	bin, trust, world = filepath.Join(root, "bin"), filepath.Join(root, "trust"), doc.NewWorld(7)
	if err := build(); err != nil {
		return err
	}
	beOnTime()
	if err := world.WriteTrust(trust, "VNM", "D"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	central, err = kiosk.NewCentral(ctx, bin, filepath.Join(root, "central"), nil)
	return err
}

// build makes the programs as they ship.
func build() error {
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return fmt.Errorf("where is this source file?")
	}
	repo := filepath.Dir(filepath.Dir(here))
	if err := dependOn(repo); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin+"/", "./cmd/gateagent", "./cmd/gatecentral", "./cmd/gatectl")
	cmd.Dir = repo
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// dependOn looks at every source file, so that go test knows that its result
// depends on them and does not serve that of earlier sources from its cache.
func dependOn(repo string) error {
	return filepath.WalkDir(repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(d.Name(), ".") && path != repo {
			if err == nil && d.IsDir() {
				err = filepath.SkipDir
			}
			return err
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/static/") {
			_, _ = os.Stat(path) // whether it is still there matters to go build alone
		}
		return nil
	})
}
