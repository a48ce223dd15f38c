package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/sim/doc"
	"gateagent/sim/vpcd"
)

// reads says whether a command is a READ BINARY under secure messaging.
func reads(apdu []byte) bool { return apdu[0] == 0x0C && apdu[1]&^1 == 0xB0 }

// A card that is torn out in the middle of a file: nobody is accused, what was
// proven before stays, all the rest is aborted.
func TestReadTorn(t *testing.T) {
	t.Parallel()
	d := foreign(3, doc.PortraitSize(60000))(t)
	cfg := d.ChipConfig()
	tear, left := make(chan struct{}), make(chan struct{})
	var big atomic.Int32
	cfg.Fault = func(_ int, apdu, resp []byte) ([]byte, bool) {
		if reads(apdu) && len(resp) > 4000 && big.Add(1) == 3 {
			close(tear)
			<-left
		}
		return resp, false
	}
	reader, _, link := insert(t, cfg)
	go func() {
		<-tear
		go link.Remove()
		time.Sleep(300 * time.Millisecond)
		close(left)
	}()
	got := program(t, "", "read", "--json", "--reader", reader, "--mrz", d.MRZ(), "--trust", trustFolder(t), "--at", day.Format(time.RFC3339))
	if got.status != 4 || got.stderr != "" || got.took > 8*time.Second {
		t.Errorf("exit status %d after %v, errors %q", got.status, got.took, got.stderr)
	}
	expect(t, passport+"integrity.dg2=A1001 integrity=A1001").compare(t, got.report(t), false)
}

// A chip that falls silent costs a bounded time.
func TestReadMute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		mute func(apdu []byte) bool
		want string
	}{
		{"from the start", func([]byte) bool { return true },
			noObjectOf("access.*=N1004 access=A1002 mrz.check_digits=N1704 sod.*=U1004 ds.*=U1004 mrz.dg1=N1705")},
		{"in the middle", func(apdu []byte) bool { return reads(apdu) && apdu[2] == 0x82 },
			vietnam + "integrity.dg2=A1002 integrity=A1002 mrz.dg1=N1705"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := citizen(33)(t)
			cfg := d.ChipConfig()
			cfg.Fault = func(_ int, apdu, resp []byte) ([]byte, bool) { return resp, c.mute(apdu) }
			reader, _, _ := insert(t, cfg)
			begin := time.Now()
			got := program(t, "", "read", "--json", "--reader", reader, "--can", d.CAN(), "--trust", trustFolder(t), "--at", day.Format(time.RFC3339), "--wait", "5s")
			// The wait for the card comes on top; it was in the field before.
			if took := time.Since(begin); got.status != 4 || took > 15*time.Second+1500*time.Millisecond {
				t.Errorf("exit status %d after %v", got.status, took)
			}
			expect(t, c.want).compare(t, got.report(t), false)
			t.Logf("%v", got.took)
		})
	}
}

// Chips that lie: F of the running step, one report, no hang.
func TestReadLiar(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault func(apdu, resp []byte) []byte
		want  string
	}{
		{"wrong MAC in DG1", func(apdu, resp []byte) []byte {
			if reads(apdu) && apdu[2] == 0x82 {
				resp = bytes.Clone(resp)
				resp[len(resp)-4] ^= 1
			}
			return resp
		}, vietnam + "integrity.dg2=F1105 integrity=F1105 mrz.dg1=N1705"},
		{"plain answers in the security object", func(apdu, resp []byte) []byte {
			if reads(apdu) && apdu[2] == 0x9D {
				return []byte{0x77, 0x82, 0xFF, 0xFF, 0x90, 0}
			}
			return resp
		}, vietnam + "mrz.dg1=N1705 sod.hash=F1105 sod.signature=U1004 sod=F1105 ds.*=U1004" + noObject + "mrz.dg1=N1705"},
		{"nonsense in PACE", func(apdu, resp []byte) []byte {
			if apdu[1] == 0x86 {
				return []byte{0x7C, 0x7F, 1, 2, 3, 0x90, 0}
			}
			return resp
		}, noObjectOf("access.pace=F1103 access.bac=N access=F1103 access.terminal_auth=U1210 mrz.check_digits=N1704 sod.*=U1004 ds.*=U1004 mrz.dg1=N1705")},
		{"EF.CardAccess that lies about its length", func(apdu, resp []byte) []byte {
			if apdu[0] == 0 && apdu[1] == 0xB0 && len(resp) > 2 {
				return []byte{0x31, 0x83, 0x7F, 0xFF, 0xFF, 0x90, 0}
			}
			return resp
		}, noObjectOf("access.*=N1004 access=F1106 mrz.check_digits=N1704 sod.*=U1004 ds.*=U1004 mrz.dg1=N1705")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := citizen(34)(t)
			cfg := d.ChipConfig()
			cfg.Fault = func(_ int, apdu, resp []byte) ([]byte, bool) { return c.fault(apdu, resp), false }
			reader, _, _ := insert(t, cfg)
			got := program(t, "", "read", "--json", "--reader", reader, "--can", d.CAN(), "--trust", trustFolder(t), "--at", day.Format(time.RFC3339))
			if got.status != 2 || got.stderr != "" {
				t.Errorf("exit status %d, errors %q", got.status, got.stderr)
			}
			expect(t, c.want).compare(t, got.report(t), false)
		})
	}
}

// What cannot be tried at all ends with status 1 and one line that names
// thing and remedy.
func TestReadRefused(t *testing.T) {
	t.Parallel()
	d := citizen(35)(t)
	none := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		name  string
		args  []string
		words []string
	}{
		{"no key", nil, []string{"exactly one of --can, --mrz and --qr"}},
		{"two keys", []string{"--can", "123456", "--qr", "x"}, []string{"exactly one of --can, --mrz and --qr"}},
		{"CAN of letters", []string{"--can", "12345X"}, []string{"card access number", "six digits"}},
		{"CAN too long", []string{"--can", d.Number()}, []string{"six digits"}},
		{"no MRZ", []string{"--mrz", "P<UTO"}, []string{"machine readable zone"}},
		{"no QR", []string{"--qr", "a|b|c"}, []string{"QR code"}},
		{"empty input", []string{"--mrz", "-"}, []string{"machine readable zone"}},
		{"no time", []string{"--can", "123456", "--at", "today"}, []string{`--at "today"`, "2026-11-21T08:00:00+07:00"}},
		{"no trust folder", []string{"--can", "123456", "--trust", none}, []string{"trust folder", none}},
		{"unknown flag", []string{"--can", "123456", "--fast"}, []string{"--fast"}},
		{"stray argument", []string{"--can", "123456", "now"}, []string{`"now"`}},
		{"no duration", []string{"--can", "123456", "--wait", "soon"}, []string{"--wait"}},
		{"negative wait", []string{"--can", "123456", "--wait", "-1s"}, []string{"--wait"}},
		{"empty reader", []string{"--can", "123456", "--reader", ""}, []string{"--reader"}},
		{"no such reader", []string{"--can", "123456", "--reader", "Nobody*", "--wait", "300ms"}, []string{`"Nobody*"`, "300ms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := program(t, "", append([]string{"read", "--json"}, c.args...)...)
			got.refused(t, c.words...)
			quiet(t, got.stderr, d.Number())
			if got.took > 5*time.Second {
				t.Errorf("took %v", got.took)
			}
		})
	}
}

// Without a card, beside a lane, without a daemon. It runs before the tests
// that insert cards: the daemon needs a while to see that one has gone.
func TestReadNotNow(t *testing.T) {
	slot := <-slots
	defer func() { slots <- slot }()
	daemon, reader := field.start(t), readerName(slot)
	args := func(more ...string) []string {
		return append([]string{"read", "--json", "--can", "123456", "--reader", reader}, more...)
	}

	got := program(t, "", args("--wait", "1s")...)
	got.refused(t, reader, "within 1s", "lay the document on the reader")
	if got.took < time.Second || got.took > 6*time.Second {
		t.Errorf("waited %v, not 1s", got.took)
	}

	// A lane holds the reader's lock: refused at once, card or none.
	t.Run("lane", func(t *testing.T) {
		holdLock(t, daemon.Socket(), reader)
		got := program(t, "", args()...)
		got.refused(t, reader, "in use", "process")
		if got.took > 5*time.Second {
			t.Errorf("refused after %v", got.took)
		}
	})

	gone := filepath.Join(t.TempDir(), "pcscd.comm")
	got = programAt(t, gone, "", args()...)
	got.refused(t, "pcscd")
	if got.took > 5*time.Second {
		t.Errorf("took %v", got.took)
	}

	// A daemon that accepts and never answers.
	silent := must[net.Listener](t)(net.Listen("unix", gone))
	defer silent.Close()
	got = programAt(t, gone, "", args("--wait", "1s")...)
	got.refused(t)
	if got.took > 8*time.Second {
		t.Errorf("took %v", got.took)
	}
}

// holdLock has another process hold a reader's lock, as a lane does, until
// the end of the test.
func holdLock(t *testing.T, socket, reader string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), must[string](t)(os.Executable()))
	cmd.Env = append(os.Environ(), asLane+"="+reader, vpcd.SocketVariable+"="+socket)
	in := must[io.WriteCloser](t)(cmd.StdinPipe())
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the lane says %q: %v", line, err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
}
