package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/central/repo/repotest"
	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/match/face/pack"
	"gateagent/sim/kiosk"
)

// pushedModels is a kiosk that compares faces, and the pack that it has.
type pushedModels struct {
	*pushedTo
	files map[string][]byte // of the demo pack
	key   ed25519.PrivateKey
	paths []string // that are published
}

func comparing(t *testing.T) *pushedModels {
	t.Helper()
	m := &pushedModels{files: map[string][]byte{}, key: repotest.Key(t)}
	models, err := filepath.Abs("../models")
	if err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(models, "onnxruntime", "libonnxruntime.so")
	entries, err := os.ReadDir(filepath.Join(models, "demo"))
	if _, missing := os.Stat(library); err != nil || missing != nil {
		t.Skip("the demo model pack or ONNX Runtime is not here: scripts/setup installs them")
	}
	for _, e := range entries {
		if m.files[e.Name()], err = os.ReadFile(filepath.Join(models, "demo", e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	public := filepath.Join(t.TempDir(), "calibration.pub")
	der, err := x509.MarshalPKIXPublicKey(m.key.Public())
	if err == nil {
		err = os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	face := "\n[face]\ndemo = true\nlegal_basis = \"X-1\"\nsource = \"page\"\npack = '" + filepath.Join(models, "demo") + "'\npack_hash = \"" + hashOf(m.files["pack.json"]) +
		"\"\nlibrary = '" + library + "'\ncalibration_keys = ['" + public + "']\n"
	now := time.Now().UTC().Truncate(time.Second)
	m.pushedTo = startPushed(t, repotest.New(t, now), now, face, func(o *kiosk.Options) { o.Face = "required" })
	return m
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// manifest gives pack.json with something else in it.
func (m *pushedModels) manifest(change func(map[string]any)) []byte {
	m.t.Helper()
	all := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(m.files["pack.json"]))
	dec.UseNumber()
	if err := dec.Decode(&all); err != nil {
		m.t.Fatal(err)
	}
	change(all)
	b, err := json.Marshal(all)
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

// publish makes the role hold these files and carries it to the kiosk.
func (m *pushedModels) publish(files map[string][]byte) (string, error) {
	m.t.Helper()
	m.version++
	for _, p := range m.paths {
		if err := m.repo.Repo.Remove(p, m.now); err != nil {
			m.t.Fatal(err)
		}
	}
	m.paths = nil
	for name, b := range files {
		path := "models/" + name
		m.repo.Add(path, wire.Target{Kind: wire.KindModels, Version: m.version, Issued: m.now, Expires: m.now.Add(time.Hour)}, b, m.now)
		m.paths = append(m.paths, path)
	}
	m.repo.Publish(m.now)
	return m.carry()
}

// with is the demo pack with other files in it.
func (m *pushedModels) with(name string, b []byte) map[string][]byte {
	out := map[string][]byte{name: b}
	for n, old := range m.files {
		if n != name {
			out[n] = old
		}
	}
	return out
}

// TestPushedModels: a pack is proven, tried by a worker of its own and in force
// only then; one that is damaged, or that cannot tell people apart, is refused
// and changes nothing; a calibration record may come alone; a restart keeps what
// is in force.
func TestPushedModels(t *testing.T) {
	t.Parallel()
	m := comparing(t)
	taken := func(files map[string][]byte) {
		t.Helper()
		m.mark()
		before := len(m.Agent.Lines("models in force"))
		if out, err := m.publish(files); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for end := time.Now().Add(startWithin); len(m.Agent.Lines("models in force")) == before; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the models did not come into force")
			}
		}
		m.await("the lane", startWithin, func(v view) bool { return v.Stage == gate.StageIdle })
	}
	refused := func(files map[string][]byte, why string) {
		t.Helper()
		if out, err := m.publish(files); err == nil || !strings.Contains(err.Error()+out, why) {
			t.Errorf("want %q: %v\n%s", why, err, out)
		}
	}
	next := m.manifest(func(all map[string]any) { all["version"] = "99" })
	taken(m.with("pack.json", next))
	refused(m.with("embedder.onnx", append(bytes.Clone(m.files["embedder.onnx"]), 0)), "is not the one that pack.json names")
	refused(m.with("stranger.so", []byte("x")), "is no part of the pack")
	deaf := m.manifest(func(all map[string]any) { all["embedder"].(map[string]any)["start_threshold"] = 0.999 })
	refused(m.with("pack.json", deaf), "two pictures of one person")

	c := pack.Calibration{Format: pack.Format, Pack: hashOf(next), Title: "drawn", Made: m.now, Expires: m.now.Add(time.Hour), Cameras: []string{"none"},
		People: 25, Pictures: 50, Genuine: 25, Impostor: 600, Attempts: 1, FMR: 0.01, Points: []pack.Point{{FMR: 0.01, Threshold: 0.5, Supported: true}}}
	record := func(key ed25519.PrivateKey) map[string][]byte {
		b, err := c.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		return map[string][]byte{pack.CalibrationFile: b}
	}
	refused(record(repotest.Key(t)), "is not signed by a trusted calibration key")
	taken(record(m.key))
	c.Pack = hashOf(deaf)
	refused(record(m.key), "is for another pack")

	if err := m.Agent.Stop(); err != nil {
		t.Error(err)
	}
	folders := func() (names []string) {
		entries, err := os.ReadDir(filepath.Join(m.State(), "models"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
		return names
	}
	if n := folders(); len(n) != 2 {
		t.Errorf("%d packs lie there, want the one in force and the one before", len(n))
	}
	m.start()
	m.ready()
	if lines := m.Agent.Lines("cannot be used"); len(lines) > 0 {
		t.Errorf("after a restart: %v", lines)
	}
}
