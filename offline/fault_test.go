package offline

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"

	"gateagent/gate/wire"
)

// roleEnv makes this test binary play another process.
const roleEnv = "OFFLINE_TEST_ROLE"

func TestMain(m *testing.M) {
	role, dir, _ := strings.Cut(os.Getenv(roleEnv), ":")
	switch role {
	case "append":
		os.Exit(appendForever(dir))
	case "hold":
		os.Exit(holdFolder(dir))
	case "workload":
		os.Exit(workload(dir))
	case "failing":
		os.Exit(failingDisk(dir))
	}
	os.Exit(m.Run())
}

func as(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+role+":"+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// appendForever says on standard output which record has which number, after
// Append returned.
func appendForever(dir string) int {
	ctx := context.Background()
	o, err := Open(ctx, Config{Dir: dir, Kiosk: kiosk, MinFree: -1, Timeout: 20 * time.Second})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if _, err := o.RecoverPassages(ctx, time.Now(), false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		rec := admit(int(rand.Uint32()))
		n, err := o.Append(ctx, rec)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Printf("%d %s\n", n, rec.Tx)
	}
}

func holdFolder(dir string) int {
	o, err := Open(context.Background(), Config{Dir: dir, Kiosk: kiosk})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("held")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // until the test lets go
	_ = o.Close()
	return 0
}

// Every number that Append returned before a kill -9 is there afterwards,
// with its record; nothing is there twice, and each admission that the kill
// left open is closed as unknown once.
func TestKill9(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(seeded(t), 0))
	told := make(map[uint64]string)
	for range *kills {
		cmd := as(t, "append", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		killAfter := rng.IntN(150)
		for n := 0; lines.Scan(); n++ {
			number, id, _ := strings.Cut(lines.Text(), " ")
			i, err := strconv.ParseUint(number, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if told[i] != "" {
				t.Fatalf("number %d was given twice", i)
			}
			told[i] = id
			if n == killAfter {
				time.Sleep(time.Duration(rng.IntN(500)) * time.Microsecond)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
	}
	o := open(t, Config{Dir: dir})
	if _, err := o.RecoverPassages(t.Context(), time.Now(), false); err != nil {
		t.Fatal(err)
	}
	checkHistory(t, all(t, o, 0), told)
	t.Logf("%d numbers told before %d kills, %d rows", len(told), *kills, o.Depth())
	if !t.Failed() {
		t.Logf("ledger kill-outbox %v", ledger{decided: len(told), found: len(told)})
	}
}

func checkHistory(t *testing.T, entries []wire.Entry, told map[uint64]string) {
	t.Helper()
	stored := make(map[uint64]string)
	admits, passages := make(map[string]int), make(map[string]int)
	for _, e := range entries {
		rec, err := wire.DecodeRecord(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind == wire.KindPassage {
			passages[rec.Tx]++
			continue
		}
		stored[e.Number] = rec.Tx
		admits[rec.Tx]++
	}
	for n, id := range told {
		if stored[n] != id {
			t.Errorf("number %d was told as %s and is stored as %q", n, id, stored[n])
		}
	}
	for id, n := range admits {
		if n != 1 || passages[id] != 1 {
			t.Errorf("admission %s: stored %d times with %d passages", id, n, passages[id])
		}
	}
}

func TestSecondAgentIsRefused(t *testing.T) {
	dir := t.TempDir()
	cmd := as(t, "hold", dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q %v", line, err)
	}
	begin := time.Now()
	_, err = Open(t.Context(), Config{Dir: dir, Kiosk: kiosk})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d;", cmd.Process.Pid)) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("Open = %v, want the folder and pid %d", err, cmd.Process.Pid)
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("the refusal took %v", d)
	}
	// A killed holder leaves no stale lock.
	if err := errors.Join(cmd.Process.Kill(), in.Close()); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says "killed"
	open(t, Config{Dir: dir})
}

// The settings that the guarantee rests on are really in force.
func TestPragmasInForce(t *testing.T) {
	o := open(t, Config{})
	for name, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "locking_mode": "exclusive", "auto_vacuum": "2"} {
		var got string
		if err := o.db.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q (%v), want %q", name, got, err, want)
		}
	}
	o = reopen(t, o)
	appendAll(t, o, admit(1))
	if _, err := os.Stat(o.path + "-shm"); err == nil {
		t.Error("the log's index lies in a file")
	}
	var ddl string
	err := o.db.QueryRowContext(t.Context(), `SELECT sql FROM sqlite_schema WHERE name = 'result'`).Scan(&ddl)
	if err != nil || !strings.Contains(ddl, "AUTOINCREMENT") {
		t.Errorf("result: %s %v", ddl, err)
	}
	// Exclusive: another connection gets nothing.
	other := sql.OpenDB(connector{&sqlite3.SQLiteDriver{}, "file:" + o.path + "?_busy_timeout=10"})
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), `DELETE FROM result`); err == nil {
		t.Error("another connection could write")
	}
}
