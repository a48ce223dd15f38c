//go:build faults

package faults

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
)

const kioskName = "sgn-g12"

// kiosk is the process under test, seen from outside.
type kiosk struct {
	t   *testing.T
	c   *centre
	dir string
	job job
	log string

	cmd     *exec.Cmd
	in      io.WriteCloser
	replies chan string
	gone    chan struct{}

	mu     sync.Mutex
	ledger *ledger // guarded by mu
}

// newKiosk enrols a kiosk that dials the brokers.
func newKiosk(t *testing.T, c *centre, brokers ...string) *kiosk {
	t.Helper()
	k := &kiosk{t: t, c: c, dir: t.TempDir(), ledger: newLedger(t.Name())}
	k.job = job{State: filepath.Join(k.dir, "state"), Brokers: brokers, AckTimeout: time.Second}
	k.log = filepath.Join(k.dir, "kiosk.log")
	k.enrol(false, time.Now())
	t.Cleanup(func() {
		k.kill()
		if t.Failed() {
			text, _ := os.ReadFile(k.log)
			t.Logf("the kiosk said:\n%s", text[max(0, len(text)-6000):])
		}
	})
	return k
}

func (k *kiosk) identity() string { return filepath.Join(k.job.State, wire.IdentityFolder) }

// enrol makes new keys and has them enrolled, as of a time.
func (k *kiosk) enrol(replace bool, at time.Time) {
	k.t.Helper()
	must(k.t, os.RemoveAll(k.identity()))
	keys, err := wire.NewKioskKeys(kioskName)
	must(k.t, err)
	must(k.t, keys.Save(k.identity()))
	req, err := keys.Request(at)
	must(k.t, err)
	data, err := enrol.Encode(req)
	must(k.t, err)
	b, err := k.c.reg.Add(k.t.Context(), data, enrol.Options{Broker: []string{"tls://" + k.c.mqtt}, Replace: replace}, at)
	must(k.t, err)
	k.install(b)
}

func (k *kiosk) install(b *wire.Bundle) {
	k.t.Helper()
	data, err := enrol.Encode(b)
	must(k.t, err)
	_, err = wire.InstallBundle(k.identity(), data, false)
	must(k.t, err)
}

// start starts the process and waits until its outbox is open.
func (k *kiosk) start(env ...string) {
	k.t.Helper()
	k.launch(env...)
	select {
	case <-k.replies: // open
	case <-k.gone:
		k.t.Fatal("the kiosk ended at its start")
	case <-time.After(patience):
		k.t.Fatal("the kiosk does not open its outbox")
	}
}

// launch starts the process.
func (k *kiosk) launch(env ...string) {
	k.t.Helper()
	data, err := json.Marshal(k.job)
	must(k.t, err)
	path := filepath.Join(k.dir, "job.json")
	must(k.t, os.WriteFile(path, data, 0o600))
	log, err := os.OpenFile(k.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(k.t, err)
	defer log.Close()
	k.cmd = exec.Command(os.Args[0])
	k.cmd.Env = append(append(os.Environ(), jobEnv+"="+path), env...)
	k.cmd.Stderr = log
	k.in, err = k.cmd.StdinPipe()
	must(k.t, err)
	out, err := k.cmd.StdoutPipe()
	must(k.t, err)
	must(k.t, k.cmd.Start())
	k.replies, k.gone = make(chan string, 4), make(chan struct{})
	go k.listen(k.cmd, out, k.replies, k.gone)
}

// listen writes down what the kiosk says until it is gone.
func (k *kiosk) listen(cmd *exec.Cmd, out io.Reader, replies chan string, gone chan struct{}) {
	defer close(gone)
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // half a line was not said
			break
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word != "told" {
			replies <- rest
			continue
		}
		_, tx, _ := strings.Cut(rest, " ")
		k.mu.Lock()
		k.ledger.tell(tx)
		k.mu.Unlock()
	}
	_ = cmd.Wait() // says how it ended
}

func (k *kiosk) send(line string) {
	if _, err := fmt.Fprintln(k.in, line); err != nil {
		k.t.Logf("the kiosk is gone: %v", err)
	}
}

// ask sends a line and waits for the answer.
func (k *kiosk) ask(line string) string {
	k.t.Helper()
	k.send(line)
	select {
	case r := <-k.replies:
		return r
	case <-k.gone:
		k.t.Fatalf("the kiosk ended instead of answering %q", line)
	case <-time.After(5 * patience):
		k.t.Fatalf("the kiosk does not answer %q", line)
	}
	return ""
}

func (k *kiosk) decide(n int) { k.t.Helper(); k.ask(fmt.Sprintf("decide %d 0s", n)) }

func (k *kiosk) look() (s state) {
	k.t.Helper()
	must(k.t, json.Unmarshal([]byte(k.ask("look")), &s))
	return s
}

func (k *kiosk) told() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ledger.count
}

// kill is kill -9.
func (k *kiosk) kill() {
	if k.cmd == nil {
		return
	}
	_ = k.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
	<-k.gone
	k.cmd = nil
}

// stop ends it in order.
func (k *kiosk) stop() {
	k.t.Helper()
	must(k.t, k.in.Close())
	select {
	case <-k.gone:
		k.cmd = nil
	case <-time.After(patience):
		k.t.Fatal("the kiosk does not end")
	}
}

// drained waits until central acknowledged everything, and counts there.
func (k *kiosk) drained() {
	k.t.Helper()
	var last state
	for end := time.Now().Add(2 * patience); ; time.Sleep(20 * time.Millisecond) {
		if last = k.look(); last.Depth == 0 {
			break
		}
		if time.Now().After(end) {
			k.t.Fatalf("results wait: %+v", last)
		}
	}
	k.balance()
}

// balance counts at central; it fails where anything is amiss.
func (k *kiosk) balance() {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.ledger
	l.read(k.t, k.c.reg, kioskName)
	if n := l.missing(); n+l.doubled+l.unreadable+l.reordered > 0 {
		k.t.Fatalf("of %d results %d are missing at central, %d doubled, %d unreadable, %d out of order", l.count, n, l.doubled, l.unreadable, l.reordered)
	}
}

// draw prints the ledger of the run.
func (k *kiosk) draw() {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ledger.again()
	k.ledger.read(k.t, k.c.reg, kioskName)
	k.ledger.draw(k.t)
}

// says waits for a notice with all the words.
func (k *kiosk) says(words ...string) {
	k.t.Helper()
	var s state
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s = k.look()
		for _, n := range s.Notices {
			all := true
			for _, w := range words {
				all = all && strings.Contains(n.Text, w)
			}
			if all {
				return
			}
		}
	}
	k.t.Fatalf("no notice says %q: %+v", words, s.Notices)
}
