package allowlist

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Environment of the process that is killed: what to do, and after which step.
const (
	killState = "ALLOWLIST_KILL_STATE"
	killAfter = "ALLOWLIST_KILL_AFTER"
)

func TestMain(m *testing.M) {
	if state := os.Getenv(killState); state != "" {
		if err := victim(state, os.Getenv(killAfter)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// victim applies a delta and revocations to the store in state, tells every
// step, and is dead after the one that it is told.
func victim(state, after string) error {
	s, err := OpenStore(filepath.Join(state, "list"), Options{Log: quiet()})
	if err != nil {
		return err
	}
	s.reached = func(step string) {
		fmt.Println("step:", step)
		if step == after {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	statement, err := os.ReadFile(filepath.Join(state, StatementFile))
	if err != nil {
		return err
	}
	if err := s.ApplyDelta(context.Background(), statement, filepath.Join(state, DeltaFile), at(testNow)); err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(state, RevocationsFile))
	if err != nil {
		return err
	}
	return s.SetRevocations(context.Background(), raw)
}

// runVictim gives the steps that the process reached.
func runVictim(t *testing.T, state, after string) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	// The race detector would hold up every process for a second at its end.
	cmd.Env = append(os.Environ(), killState+"="+state, killAfter+"="+after, "GORACE=atexit_sleep_ms=10")
	out, err := cmd.Output()
	if (after == "") != (err == nil) {
		t.Fatalf("killed after %q: %v", after, err)
	}
	var steps []string
	for line := range strings.Lines(string(out)) {
		if step, ok := strings.CutPrefix(strings.TrimSpace(line), "step: "); ok {
			steps = append(steps, step)
		}
	}
	return steps
}

// prepare lays out a store with the first list, and what leads to the second.
func prepare(t *testing.T, p *pushed) string {
	t.Helper()
	state := t.TempDir()
	s := mustStore(t, filepath.Join(state, "list"))
	p.load(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		StatementFile: p.st2, DeltaFile: mustFile(t, p.delta),
		RevocationsFile: revocations(t, &Revocations{}, vnm(1)).Marshal(),
	} {
		if err := os.WriteFile(filepath.Join(state, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return state
}

// A process that is killed after any step of a merge, or of revocations, leaves
// the old list or the new one, whole; the same again completes it, and nothing
// is left lying about.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	p := push(t)
	steps := runVictim(t, prepare(t, &p), "")
	if len(steps) < 9 {
		t.Fatalf("steps %q", steps)
	}
	committed, revoked := slices.Index(steps, "mark written"), slices.Index(steps, "revocations written")
	for i, step := range steps {
		state := prepare(t, &p)
		runVictim(t, state, step)
		want := firstAnswers
		if i >= committed {
			want = secondAnswers
		}
		check := func(when string) {
			t.Helper()
			s := mustStore(t, filepath.Join(state, "list"))
			defer s.Close()
			if got := answers(s); got != want {
				t.Errorf("killed after %q, %s: answers %v, want %v", step, when, got, want)
			}
			if err := s.table.Verify(t.Context()); err != nil {
				t.Errorf("killed after %q, %s: %v", step, when, err)
			}
		}
		if i >= revoked {
			want[0] = revokedAnswers[0]
		}
		check("after a restart")
		want = revokedAnswers
		runVictim(t, state, "")
		check("when it is done")
		left, err := os.ReadDir(filepath.Join(state, "list"))
		if err != nil {
			t.Fatal(err)
		}
		if len(left) != 4 {
			t.Errorf("killed after %q: the folder holds %v, want two lists, mark and revocations", step, left)
		}
	}
}
