package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pushes is how many revocations are published, one after the other, of a few
// people who are revoked again and again.
const (
	pushes = 200
	some   = 10
)

// inForceWithin is what nearly all revocations may take, from the command that
// publishes them to the kiosk that heeds them.
const inForceWithin = time.Second

// BenchmarkPush publishes revocations with gatectl for gatecentral, which signs
// them; a kiosk hears of each by the broker and fetches it by HTTPS. The time
// ends when the kiosk's look-ups heed it. It begins when the command is
// started (push.command), or when what it leaves lies in the repository's
// pending folder (push.pending). Run by make bench-push.
func BenchmarkPush(b *testing.B) {
	guests := citizens(b, some)
	r, _, repo := pushing(b, guests[:1])
	r.start()
	go r.watch()
	r.ready()
	arrivals := watchFolder(b, repo.Pending())
	var command, pending []time.Duration
	b.ResetTimer()
	for i := range pushes {
		if err := repo.Revoke(r.within(soon), r.Path("keys/generation-1.secret"), guests[i%some]); err != nil {
			b.Fatal(err)
		}
		for len(arrivals) > 0 {
			<-arrivals
		}
		began := time.Now()
		if err := repo.PublishRevocations(r.within(soon)); err != nil {
			b.Fatal(err)
		}
		line, err := r.Agent.AwaitLine(r.within(soon), "revocations in force", fmt.Sprintf("number=%d ", i+1))
		if err != nil {
			b.Fatal(err)
		}
		at := stamped(b, line)
		command, pending = append(command, at.Sub(began)), append(pending, at.Sub(<-arrivals))
	}
	b.StopTimer()
	report(b, "push.command", command)
	report(b, "push.pending", pending)
}

// stamped reads when the agent wrote a line, by the clock of this machine.
func stamped(b *testing.B, line string) time.Time {
	b.Helper()
	text, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		b.Fatal(err)
	}
	return at
}

// report prints half of the times and nearly all of them: name, value, unit,
// the most it may be, quotient.
func report(b *testing.B, name string, all []time.Duration) {
	b.Helper()
	slices.Sort(all)
	limit := inForceWithin.Seconds() * 1000
	for _, p := range []int{50, 99} {
		value := all[(len(all)*p+99)/100-1].Seconds() * 1000
		fmt.Printf("%s.p%d %.0f ms %.0f %.3f\n", name, p, value, limit, value/limit)
		if value > limit {
			b.Errorf("%s.p%d takes %.0f ms, allowed are %.0f", name, p, value, limit)
		}
	}
}

// watchFolder tells when files are put into a folder.
func watchFolder(b *testing.B, folder string) <-chan time.Time {
	b.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, folder, unix.IN_MOVED_TO)
	}
	if err != nil {
		b.Fatal(err)
	}
	f, out := os.NewFile(uintptr(fd), "inotify"), make(chan time.Time, 16)
	b.Cleanup(func() { _ = f.Close() })
	go func() {
		buf := make([]byte, 4<<10)
		for {
			if _, err := f.Read(buf); err != nil {
				return
			}
			select {
			case out <- time.Now():
			default:
			}
		}
	}()
	return out
}
