package uplink_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gateagent/gate/wire"
	"gateagent/offline"
	"gateagent/uplink"
)

// roleEnv makes this test binary play a kiosk; it names its folder.
const roleEnv = "UPLINK_TEST_KIOSK"

func TestMain(m *testing.M) {
	if dir := os.Getenv(roleEnv); dir != "" {
		if err := playKiosk(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if task := os.Getenv(drainEnv); task != "" {
		if err := playDrain(task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// parts is an identity as it is handed to the child.
type parts struct {
	Broker, CA, Cert, Key []byte
	Signing, Ack          []byte
}

func (p *pki) handOver(t *testing.T, dir, addr string) {
	t.Helper()
	id := p.identity(t, addr)
	key, err := x509.MarshalPKCS8PrivateKey(id.Certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(parts{
		Broker: []byte(id.Broker[0]), CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.ca.Raw}),
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.Certificate.Certificate[0]}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), Signing: id.Signing, Ack: id.AckKey})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "identity.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func takeOver(dir string) (*wire.Identity, error) {
	data, err := os.ReadFile(filepath.Join(dir, "identity.json"))
	if err != nil {
		return nil, err
	}
	var p parts
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.CA)
	return &wire.Identity{Name: kiosk, Certificate: cert, CA: pool, Broker: []string{string(p.Broker)},
		Signing: ed25519.PrivateKey(p.Signing), AckKey: ed25519.PublicKey(p.Ack)}, nil
}

// playKiosk appends and sends until it is killed, and tells each transaction
// after its Append returned.
func playKiosk(dir string) error {
	ctx := context.Background()
	id, err := takeOver(dir)
	if err != nil {
		return err
	}
	box, err := offline.Open(ctx, offline.Config{Dir: filepath.Join(dir, "state"), Kiosk: kiosk, MinFree: -1, Timeout: patience})
	if err != nil {
		return err
	}
	up, err := uplink.New(uplink.Config{Identity: id, Store: box, Status: func() wire.Status { return wire.Status{} }, Log: slog.New(slog.DiscardHandler),
		AckTimeout: 400 * time.Millisecond, RedialMin: 5 * time.Millisecond, RedialMax: 50 * time.Millisecond})
	if err != nil {
		return err
	}
	go func() { _ = up.Run(ctx) }() // until the kill
	for {
		rec := wire.Record{V: wire.RecordVersion, Kind: wire.KindDecision, Tx: fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()), At: time.Now(),
			Decision: &wire.Decision{Outcome: wire.OutcomeAbort, Reasons: []uint32{6003}}}
		if _, err := box.Append(ctx, rec); err != nil {
			return err
		}
		fmt.Println(rec.Tx)
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
	}
}

// The whole kiosk process is killed again and again while it decides and
// sends; every decision that it told of reaches central once.
func TestKioskKilled(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	m := newMosquitto(t, p)
	m.start(t)
	c := newFakeCentral(t, p)
	c.connect(m.addr())
	t.Cleanup(c.leave)
	dir := t.TempDir()
	p.handOver(t, dir, m.addr())
	told := make(map[string]bool)
	for range 8 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), roleEnv+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, killAfter := bufio.NewScanner(out), 20+rand.IntN(150)
		for n := 0; lines.Scan(); n++ {
			told[lines.Text()] = true
			if n == killAfter {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // says "killed"
	}
	k := newMachine(t, p.identity(t, m.addr()))
	k.close()
	k.dir = filepath.Join(dir, "state")
	k.open()
	k.run()
	eventually(t, "everything is acknowledged", func() bool { return k.box.Depth() == 0 })
	seen := make(map[string]int)
	c.set(func() {
		for _, entries := range c.kept {
			for _, e := range entries {
				rec, err := wire.DecodeRecord(e.Body)
				if err != nil {
					t.Fatal(err)
				}
				seen[rec.Tx]++
			}
		}
	})
	lost, doubled := 0, 0
	for id := range told {
		if seen[id] == 0 {
			lost++
		}
	}
	for _, n := range seen {
		if n > 1 {
			doubled++
		}
	}
	t.Logf("ledger %s decided=%d central=%d lost=%d doubled=%d unreadable=0 reordered=0", t.Name(), len(told), len(seen), lost, doubled)
	if lost+doubled > 0 || len(seen) < len(told) {
		t.Fail()
	}
}
