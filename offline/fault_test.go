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
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"

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
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	told := make(map[uint64]string)
	for range 8 {
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
	t.Logf("%d numbers told before the kills, %d rows", len(told), o.Depth())
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

// inNamespace runs the named test again in a mount namespace of its own, so
// that it may mount a small disk that nobody else sees.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(roleEnv) == "namespace" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), roleEnv+"=namespace")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("in its own mount namespace: %v", err)
	}
	return false
}

// smallDisk mounts a tmpfs of some bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// ballast fills the disk up to a rest.
func ballast(t *testing.T, dir string, rest int64) string {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ballast")
	if n := int64(fs.Bavail)*fs.Bsize - rest; n > 0 {
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// A disk that fills up refuses the new record whole, names path and remedy,
// keeps the old ones readable, and works again when space is freed; wherever
// in a commit the last page was used up.
func TestDiskFull(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := smallDisk(t, 8<<20)
	o := open(t, Config{Dir: filepath.Join(dir, "state")})
	appendAll(t, o, admit(0))
	next, want := 1, uint64(1)
	for rest := int64(0); rest < 80<<10; rest += 4 << 10 {
		full := ballast(t, dir, rest)
		var err error
		for range 1000 {
			if _, err = o.Append(t.Context(), admit(next)); err != nil {
				break
			}
			next, want = next+1, want+1
		}
		if !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), o.path) || !strings.Contains(err.Error(), "free space") {
			t.Fatalf("rest %d: Append = %v", rest, err)
		}
		if _, again := o.Append(t.Context(), admit(next)); !errors.Is(again, ErrDiskFull) {
			t.Fatalf("rest %d: second Append = %v", rest, again)
		}
		if q := o.Queue(); q.Last != want {
			t.Fatalf("rest %d: last %d, want %d", rest, q.Last, want)
		}
		if got := len(all(t, o, 0)); got != int(want) {
			t.Fatalf("rest %d: %d rows are readable, want %d", rest, got, want)
		}
		if rest%(16<<10) == 0 {
			o = reopen(t, o)
		}
		if err := os.Remove(full); err != nil {
			t.Fatal(err)
		}
		if n, err := o.Append(t.Context(), admit(next)); err != nil || n != want+1 {
			t.Fatalf("rest %d: after freeing: %d %v, want %d", rest, n, err, want+1)
		}
		next, want = next+1, want+1
	}
	if got := len(all(t, o, 0)); got != int(want) {
		t.Fatalf("%d rows at the end, want %d", got, want)
	}
}

// rawSQL changes the database behind the outbox's back.
func rawSQL(t *testing.T, path, stmt string) {
	t.Helper()
	db, err := openDB(t.Context(), path, kiosk, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), stmt); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// overwrite writes garbage into the database file.
func overwrite(t *testing.T, path string, offset int64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	junk := make([]byte, n)
	for i := range junk {
		junk[i] = byte(i*7 + 3)
	}
	_, err = f.WriteAt(junk, offset)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A damaged database is set aside whole, a new epoch begins, the operator is
// told, and the gate goes on.
func TestDamage(t *testing.T) {
	for name, harm := range map[string]func(*testing.T, string){
		"header":      func(t *testing.T, p string) { overwrite(t, p, 0, 100) },
		"every page":  func(t *testing.T, p string) { overwrite(t, p, 4096, 200_000) },
		"truncated":   func(t *testing.T, p string) { must(t, os.Truncate(p, 5000)) },
		"row altered": func(t *testing.T, p string) { rawSQL(t, p, `UPDATE result SET body = x'7b7d' WHERE number = 290`) },
		"row removed": func(t *testing.T, p string) { rawSQL(t, p, `DELETE FROM result WHERE number = 290`) },
		"last removed": func(t *testing.T, p string) {
			rawSQL(t, p, `DELETE FROM result WHERE number = 300`)
		},
		"first removed": func(t *testing.T, p string) {
			rawSQL(t, p, `DELETE FROM result WHERE number = 1`)
		},
		"epoch removed":     func(t *testing.T, p string) { rawSQL(t, p, `DELETE FROM meta`) },
		"epoch altered":     func(t *testing.T, p string) { rawSQL(t, p, `UPDATE meta SET epoch = lower(hex(zeroblob(16)))`) },
		"acknowledged more": func(t *testing.T, p string) { rawSQL(t, p, `UPDATE meta SET acked = 301`) },
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t, Config{})
			for n := range 300 {
				appendAll(t, o, admit(n))
			}
			epoch := o.Queue().Epoch
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
			harm(t, o.path)
			o = open(t, o.cfg)
			checkReplaced(t, o, epoch)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func checkReplaced(t *testing.T, o *Outbox, oldEpoch string) {
	t.Helper()
	if q := o.Queue(); q.Epoch == oldEpoch || q.Last != 0 {
		t.Fatalf("epoch %s goes on at %d", q.Epoch, q.Last)
	}
	aside, err := filepath.Glob(filepath.Join(o.cfg.Dir, "outbox.damaged-*", dbName))
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside: %v %v", aside, err)
	}
	notes := o.Notices()
	if len(notes) == 0 || notes[0].Level != "fault" || !strings.Contains(notes[0].Text, filepath.Dir(aside[0])) {
		t.Fatalf("notices %v", notes)
	}
	if n, err := o.Append(t.Context(), admit(1000)); err != nil || n != 1 {
		t.Fatalf("afterwards: number %d %v", n, err)
	}
	all(t, o, 0)
}

// Damage in the middle of the backlog is found when it is sent, at the latest.
// The admission that was open is still closed afterwards.
func TestDamageFoundWhileRunning(t *testing.T) {
	o := open(t, Config{})
	for n := range 299 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	appendAll(t, o, admit(299))
	epoch := o.Queue().Epoch
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	rawSQL(t, o.path, `UPDATE result SET body = x'7b7d' WHERE number = 100`)
	o = open(t, o.cfg)
	if o.Queue().Epoch != epoch {
		t.Fatal("found already at open; the test proves nothing")
	}
	if _, entries, err := o.Pending(t.Context(), 80, 50, wire.BatchRoom); err == nil {
		t.Fatalf("%d entries of a damaged chain", len(entries))
	}
	if n, err := o.RecoverPassages(t.Context(), time.Now(), false); err != nil || n != 1 {
		t.Fatalf("recovered %d %v, want 1", n, err)
	}
	if q := o.Queue(); q.Last != 1 {
		t.Fatalf("last %d, want the recovered passage alone", q.Last)
	}
	o = reopen(t, o)
	if len(all(t, o, 0)) != 1 {
		t.Fatal("the new outbox is not whole")
	}
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
