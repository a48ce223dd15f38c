package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
	"gateagent/offline"
)

// fill appends results to an enrolled kiosk's outbox.
func fill(t *testing.T, state string, seal *wire.SealKey, from, to int) {
	t.Helper()
	box, err := offline.Open(t.Context(), offline.Config{Dir: state, Kiosk: "k1", MinFree: -1, Seal: seal, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for n := from; n < to; n++ {
		rec := wire.Record{V: wire.RecordVersion, Kind: wire.KindHelp, Gate: "G12", At: time.Now(), BootID: "planted"}
		if _, err := box.Append(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
}

// enrolled enrols kiosk k1 at a central, with more options of `kiosk add`.
func enrolled(t *testing.T, centre, state string, more ...string) *wire.Identity {
	t.Helper()
	tmp := t.TempDir()
	req, _ := gatectl(t, 0, "kiosk", "request", "--state", state, "--name", "k1")
	bundle, _ := gatectl(t, 0, append([]string{"kiosk", "add", write(t, filepath.Join(tmp, "request"), req), "--central", centre, "--broker", "tls://c.example:8883"}, more...)...)
	gatectl(t, 0, "kiosk", "install", write(t, filepath.Join(tmp, "bundle"), bundle), "--state", state)
	id, err := wire.LoadIdentity(filepath.Join(state, wire.IdentityFolder))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// stored gives what central holds of the kiosk: results, and those of them
// that it could read.
func stored(t *testing.T, dir string) (all, read int) {
	t.Helper()
	r, err := enrol.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	results, err := r.Store.Results(t.Context(), "k1", 0, time.UnixMilli(0), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range results {
		if !wire.IsSealed(res.Body) {
			t.Errorf("result %d lies at central as %q", res.Number, res.Body)
		}
		if bytes.Contains(res.Record, []byte("planted")) {
			read++
		}
	}
	return len(results), read
}

// Results of a kiosk that is never online: exported, proven, taken in at
// central once however often, acknowledged; a file that was touched is refused
// and the result named.
func TestCarriedResults(t *testing.T) {
	for _, suite := range []string{"x25519", "x25519-mlkem768"} {
		t.Run(suite, func(t *testing.T) {
			centre, state, tmp := newCentral(t), t.TempDir(), t.TempDir()
			file := func(name string) string { return filepath.Join(tmp, name) }
			id := enrolled(t, centre, state, "--sealing", suite)
			if id.SealTo.Suite().String() != suite {
				t.Fatalf("sealed by %v", id)
			}
			renewed, _ := gatectl(t, 0, "kiosk", "renew", "k1", "--central", centre)
			if b, err := wire.ParseBundle([]byte(renewed)); err != nil || !bytes.Equal(b.SealingKey, id.SealTo.Bytes()) {
				t.Errorf("a renewed bundle has another key: %v", err)
			}
			fill(t, state, id.SealTo, 0, 120)

			gatectl(t, 0, "outbox", "export", "--state", state, "--out", file("e"))
			data, err := os.ReadFile(file("e"))
			if err != nil || bytes.Contains(data, []byte("planted")) {
				t.Fatalf("the file holds content in clear, or %v", err)
			}
			printed, told := gatectl(t, 0, "audit", "verify", file("e"), "--central", centre, "--print")
			if strings.Count(printed, "planted") != 120 || !strings.Contains(told, "120 results") {
				t.Errorf("audit: %s", told)
			}
			lines := strings.SplitAfter(string(data), "\n")
			bad := write(t, file("bad"), strings.Join(append(append([]string{}, lines[:20]...), lines[21:]...), ""))
			if _, told := gatectl(t, 1, "audit", "verify", bad); !strings.Contains(told, "result 20: removed") {
				t.Errorf("a removed result: %s", told)
			}
			gatectl(t, 1, "central", "import", bad, "--central", centre)
			if n, _ := stored(t, centre); n != 0 {
				t.Errorf("%d results of a bad file were taken in", n)
			}

			table, _ := gatectl(t, 0, "central", "document-keys", "--central", centre, "--rotate", "--days", "10")
			changed := table[strings.LastIndex(strings.TrimSpace(table), "\n")+1:][:8]
			gatectl(t, 1, "central", "document-keys", "--central", centre, "--days", "3")

			for _, want := range []string{"120 results taken in, 0 were", "0 results taken in, 120 were"} {
				if _, told := gatectl(t, 0, "central", "import", file("e"), "--central", centre, "--ack", file("a")); !strings.Contains(told, want) {
					t.Errorf("import: %s, want %s", told, want)
				}
			}
			if n, read := stored(t, centre); n != 120 || read != 120 {
				t.Errorf("central holds %d and reads %d", n, read)
			}
			if _, told := gatectl(t, 0, "central", "verify", "--central", centre); !strings.Contains(told, "120 results") {
				t.Errorf("central's results: %s", told)
			}
			gatectl(t, 0, "outbox", "acknowledge", file("a"), "--state", state)
			ring, err := wire.OpenDocKeyring(filepath.Join(state, wire.IdentityFolder), id)
			if err != nil {
				t.Fatal(err)
			}
			if name, _ := ring.State(time.Now()); name != changed {
				t.Errorf("the kiosk has document key %s, central %s", name, changed)
			}
			status, _ := gatectl(t, 0, "outbox", "status", "--state", state, "--json")
			if !strings.Contains(status, `"last":120,"acknowledged":120`) {
				t.Errorf("status: %s", status)
			}
			fill(t, state, id.SealTo, 120, 130)
			gatectl(t, 0, "outbox", "export", "--state", state, "--out", file("e2"))
			if _, told := gatectl(t, 0, "central", "import", file("e2"), "--central", centre); !strings.Contains(told, "10 results taken in") {
				t.Errorf("import of what came later: %s", told)
			}
		})
	}
}

// A kiosk without central seals to a key of the operator's own.
func TestOwnSealKey(t *testing.T) {
	state, keys, out := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "e")
	gatectl(t, 0, "kiosk", "request", "--state", state, "--name", "k1")
	gatectl(t, 0, "outbox", "keygen", "--out", keys)
	gatectl(t, 1, "outbox", "keygen", "--out", keys) // never overwritten
	text, err := os.ReadFile(filepath.Join(keys, "seal.pub"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := wire.ParseSealKeyText(string(text))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, state, key, 0, 3)
	gatectl(t, 0, "outbox", "export", "--state", state, "--out", out)
	// Should it be enrolled one day, central reads what was sealed to that key
	// once it has it.
	centre := newCentral(t)
	req, _ := gatectl(t, 0, "kiosk", "request", "--state", state, "--name", "k1")
	gatectl(t, 0, "kiosk", "add", write(t, filepath.Join(t.TempDir(), "r"), req), "--central", centre, "--broker", "tls://c.example:8883")
	if _, told := gatectl(t, 0, "central", "import", out, "--central", centre); !strings.Contains(told, "3 cannot be opened") {
		t.Errorf("import: %s", told)
	}
	for n, args := range [][]string{{}, {"--key", filepath.Join(keys, "seal.key")}, {}} {
		want := []string{"0 results opened, 3 still cannot be", "3 results opened, 0 still cannot be", "0 results opened, 0 still cannot be"}[n]
		if _, told := gatectl(t, 0, append([]string{"central", "reopen", "--central", centre}, args...)...); !strings.Contains(told, want) {
			t.Errorf("try %d: %s", n, told)
		}
	}
	if n, read := stored(t, centre); n != 3 || read != 3 {
		t.Errorf("central holds %d and reads %d", n, read)
	}
	if printed, _ := gatectl(t, 0, "audit", "verify", out, "--open", filepath.Join(keys, "seal.key"), "--print"); strings.Count(printed, "planted") != 3 {
		t.Errorf("opened: %s", printed)
	}
	other := t.TempDir()
	gatectl(t, 0, "outbox", "keygen", "--out", other)
	if _, told := gatectl(t, 1, "audit", "verify", out, "--open", filepath.Join(other, "seal.key")); !strings.Contains(told, "3 results cannot be opened") {
		t.Errorf("with another key: %s", told)
	}
}

// A file of a kiosk that has other keys by now is proven by those that it had
// when it was written; one that claims to be younger than its key is not.
func TestCarriedResultsOfFormerKeys(t *testing.T) {
	centre, tmp := newCentral(t), t.TempDir()
	file := func(name string) string { return filepath.Join(tmp, name) }
	filled := func(more ...string) string {
		state := t.TempDir()
		id := enrolled(t, centre, state, more...)
		fill(t, state, id.SealTo, 0, 5)
		return state
	}
	old := filled()
	gatectl(t, 0, "outbox", "export", "--state", old, "--out", file("old"))
	gatectl(t, 0, "central", "import", file("old"), "--central", centre)
	fresh := filled("--replace")
	gatectl(t, 0, "outbox", "export", "--state", fresh, "--out", file("fresh"))
	gatectl(t, 0, "central", "import", file("fresh"), "--central", centre)
	if _, told := gatectl(t, 0, "central", "verify", "--central", centre); !strings.Contains(told, "10 results") || !strings.Contains(told, "0 faults") {
		t.Errorf("central's results: %s", told)
	}
	if _, told := gatectl(t, 0, "audit", "verify", file("old"), "--central", centre); !strings.Contains(told, "as enrolled at central until") {
		t.Errorf("the former keys: %s", told)
	}
	if _, told := gatectl(t, 0, "audit", "verify", file("fresh"), "--central", centre); strings.Contains(told, "until") {
		t.Errorf("the present keys: %s", told)
	}
	keys, err := wire.LoadKioskKeys(filepath.Join(old, wire.IdentityFolder))
	if err != nil {
		t.Fatal(err)
	}
	var late bytes.Buffer
	x, err := wire.NewExporter(&late, "k1", keys.Signing, time.Now().Add(48*time.Hour))
	if err == nil {
		err = x.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, told := gatectl(t, 1, "audit", "verify", write(t, file("late"), late.String()), "--central", centre); !strings.Contains(told, "somebody else has that key") {
		t.Errorf("a file that was signed after its key: %s", told)
	}
	if keys, err = wire.NewKioskKeys("k1"); err != nil {
		t.Fatal(err)
	}
	late.Reset()
	if x, err = wire.NewExporter(&late, "k1", keys.Signing, time.Now()); err == nil {
		err = x.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, told := gatectl(t, 1, "audit", "verify", write(t, file("stranger"), late.String()), "--central", centre); !strings.Contains(told, "the end of the file") {
		t.Errorf("a key that never was the kiosk's: %s", told)
	}
}

// Central lost what the kiosk had been told it holds, and the kiosk keeps it no
// longer: what followed is taken in when somebody accepts the loss.
func TestCarriedAfterALoss(t *testing.T) {
	centre, state, tmp := newCentral(t), t.TempDir(), t.TempDir()
	file := func(name string) string { return filepath.Join(tmp, name) }
	id := enrolled(t, centre, state)
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(centre)); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(backup, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	}); err != nil {
		t.Fatal(err)
	}
	fill(t, state, id.SealTo, 0, 10)
	gatectl(t, 0, "outbox", "export", "--state", state, "--out", file("first"))
	gatectl(t, 0, "central", "import", file("first"), "--central", centre, "--ack", file("a"))
	gatectl(t, 0, "outbox", "acknowledge", file("a"), "--state", state)
	fill(t, state, id.SealTo, 10, 15)
	gatectl(t, 0, "outbox", "export", "--state", state, "--out", file("rest"))
	if _, told := gatectl(t, 1, "central", "import", file("rest"), "--central", backup); !strings.Contains(told, "--accept-loss") {
		t.Errorf("a gap: %s", told)
	}
	for _, want := range []string{"5 results taken in, 0 were", "0 results taken in, 5 were"} {
		if _, told := gatectl(t, 0, "central", "import", file("rest"), "--central", backup, "--accept-loss"); !strings.Contains(told, want) {
			t.Errorf("the loss was accepted: %s, want %s", told, want)
		}
	}
	if _, told := gatectl(t, 0, "central", "verify", "--central", backup); !strings.Contains(told, "5 results") || !strings.Contains(told, "10 lost, 0 faults") {
		t.Errorf("central's results: %s", told)
	}
}
