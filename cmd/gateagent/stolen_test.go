package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/central/enrol"
	"gateagent/config"
	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/internal/clock"
	"gateagent/internal/tpm/swtpm"
	"gateagent/match/allowlist"
)

// theftWorld is a kiosk that central enrolled and gave the secret of generation
// 1, with a list of one traveller by number and one by name.
type theftWorld struct {
	t       *testing.T
	c       config.Config
	reg     *enrol.Registry
	secrets map[uint32]*allowlist.GenerationSecret
	key     ed25519.PrivateKey
	now     time.Time
}

const (
	theftNumber = "079090000001"
	theftName   = "NGUYEN<<THI SYNTHETIC"
)

func newTheftWorld(t *testing.T, protect string) *theftWorld {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &theftWorld{t: t, key: key, now: now, secrets: map[uint32]*allowlist.GenerationSecret{1: allowlist.NewSecret(1, now), 2: allowlist.NewSecret(2, now)}}
	w.reg = must[*enrol.Registry](t)(enrol.Open(t.Context(), t.TempDir()))
	t.Cleanup(func() { _ = w.reg.Close() })
	content := w.secrets[1].Reveal()
	if err := w.reg.CA.AddListSecret(wire.ListSecret{Airport: "SGN", Generation: 1, Began: now, Content: content}, now); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	w.c = config.Config{State: config.State{Dir: state}, Clock: config.Clock{Source: "assume"}, Update: config.Update{Airport: "SGN"},
		List: config.List{Dir: filepath.Join(state, "incoming"), Protect: protect}}
	if err := os.Mkdir(w.c.List.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	keys := must[*wire.KioskKeys](t)(wire.NewKioskKeys("sgn-g12"))
	req := must[*wire.Request](t)(keys.Request(now))
	bundle := must[*wire.Bundle](t)(w.reg.Add(t.Context(), must[[]byte](t)(enrol.Encode(req)), enrol.Options{Airport: "SGN",
		Broker: []string{"tls://127.0.0.1:8883"}, ListKeys: [][]byte{key.Public().(ed25519.PublicKey)}}, now))
	if err := keys.Save(w.identity()); err != nil {
		t.Fatal(err)
	}
	must[*wire.Identity](t)(wire.InstallBundle(w.identity(), must[[]byte](t)(enrol.Encode(bundle)), false))
	return w
}

func (w *theftWorld) identity() string { return filepath.Join(w.c.State.Dir, wire.IdentityFolder) }

// deliver puts a list of a generation into list.dir, with its secret or without.
func (w *theftWorld) deliver(generation uint32, version uint64, withKey bool) {
	w.t.Helper()
	s := must[*allowlist.GenerationSecret](w.t)(allowlist.ParseSecret(w.secrets[generation].Reveal()))
	dir := filepath.Join(w.t.TempDir(), "list")
	b := must[*allowlist.Builder](w.t)(allowlist.NewBuilder(w.t.Context(), dir, allowlist.BuildConfig{Secret: s, Key: w.key, Version: version,
		Airport: "SGN", Issued: w.now, Expires: w.now.Add(72 * time.Hour)}))
	defer b.Close()
	for i, d := range []allowlist.Document{{Issuer: "VNM", Type: "ID", Number: theftNumber}, {Name: theftName, Birth: "1999-08-17", Flight: "VN123"}} {
		row := allowlist.Row{Document: d, Set: allowlist.Set{Flights: []string{"VN123"}, Gates: []string{"SGN-G12"}},
			From: w.now.Add(-time.Hour), Until: w.now.Add(24 * time.Hour), Answer: allowlist.Allow}
		if err := b.Add(row, int64(i)); err != nil {
			w.t.Fatal(err)
		}
	}
	must[allowlist.Summary](w.t)(b.Finish(w.t.Context()))
	for _, f := range []string{allowlist.TableFile, allowlist.StatementFile, allowlist.SecretFile} {
		if f == allowlist.SecretFile && !withKey {
			continue
		}
		if err := os.WriteFile(filepath.Join(w.c.List.Dir, f), must[[]byte](w.t)(os.ReadFile(filepath.Join(dir, f))), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}

// boot starts what a list needs on the state folder of c.
func boot(t *testing.T, c config.Config) *builder {
	t.Helper()
	b := &builder{c: &c, log: slog.New(slog.DiscardHandler), clock: &clock.Clock{Source: clock.Assume}}
	if err := errors.Join(b.identify(t.Context()), b.list(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.store.Close() })
	return b
}

func (b *builder) admits() gate.ListVerdict {
	return b.store.Lookup(gate.ListQuery{Issuer: "VNM", DocType: "ID", Number: theftNumber, Gate: "SGN-G12", At: b.trusted()}).Verdict
}

// noticed gives the level of the notice about the list's secret.
func (b *builder) noticed() (level string) {
	b.secretNotices(func(l, source, _ string) {
		if source == "list secret" {
			level = l
		}
	})
	return level
}

// live runs the kiosk as it is meant to: the list comes without its secret,
// which the bundle brought; a second generation comes with it by hand.
func (w *theftWorld) live() {
	w.t.Helper()
	b := boot(w.t, w.c)
	w.deliver(1, 1, false)
	if err := b.store.Load(w.t.Context(), w.c.List.Dir, b.trusted()); err != nil || b.admits() != gate.ListAllow {
		w.t.Fatalf("the secret of the bundle: %v, %v", err, b.admits())
	}
	w.deliver(2, 2, true)
	if err := b.store.Load(w.t.Context(), w.c.List.Dir, b.trusted()); err != nil || b.admits() != gate.ListAllow {
		w.t.Fatalf("the secret by hand: %v, %v", err, b.admits())
	}
	if w.c.List.Protect != config.ProtectFile {
		if err := b.takeSecret(filepath.Join(w.c.List.Dir, allowlist.SecretFile)); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := b.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	if b := boot(w.t, w.c); b.admits() != gate.ListAllow {
		w.t.Fatalf("after a restart: %v, %v", b.admits(), b.store.Status().Problem)
	}
}

// stolen copies the whole state folder, as a thief has it.
func (w *theftWorld) stolen() string {
	w.t.Helper()
	to := filepath.Join(w.t.TempDir(), "stolen")
	if err := os.CopyFS(to, os.DirFS(w.c.State.Dir)); err != nil {
		w.t.Fatal(err)
	}
	for _, dir := range []string{to, filepath.Join(to, wire.IdentityFolder)} { // a thief sets modes as needed
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			return os.Chmod(path, 0o600)
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return to
}

// inClear names the files of a folder that hold a secret, a number or a name.
func (w *theftWorld) inClear(dir string) (found []string) {
	w.t.Helper()
	var needles [][]byte
	for _, s := range w.secrets {
		_, text, _ := strings.Cut(string(s.Reveal()), "\nsecret ")
		raw := must[[]byte](w.t)(hex.DecodeString(strings.TrimSpace(text)))
		needles = append(needles, raw, []byte(strings.TrimSpace(text)), []byte(base64.StdEncoding.EncodeToString(raw)[:40]))
	}
	needles = append(needles, []byte(theftNumber), []byte("SYNTHETIC"), []byte("PRIVATE KEY-----\nMC4CAQAwBQYDK2Vu")) // an X25519 key, RFC 8410
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, n := range needles {
			if bytes.Contains(text, n) {
				found = append(found, strings.TrimPrefix(path, dir+"/"))
				break
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// thief boots the stolen folder by each way of getting at the key.
func (w *theftWorld) thief(dir string, change func(*config.Config)) gate.ListVerdict {
	w.t.Helper()
	c := w.c
	c.State.Dir, c.List.Dir = dir, filepath.Join(dir, "incoming")
	change(&c)
	b := boot(w.t, c)
	for _, generation := range []uint32{1, 2} {
		if s, err := b.listSecret(generation); s != nil && err == nil {
			return gate.ListAllow // it need not even ask the list
		}
	}
	return b.admits()
}

// With the key in the TPM, the whole state folder tells nothing on another
// machine, and the kiosk itself goes on.
func TestStolenDiskTPM(t *testing.T) {
	w := newTheftWorld(t, config.ProtectTPM)
	chip := swtpm.Start(t, t.TempDir())
	w.c.List.TPM = chip.Path
	w.live()
	dir := w.stolen()
	if found := w.inClear(dir); len(found) > 0 {
		t.Errorf("in clear: %q", found)
	}
	other := swtpm.Start(t, t.TempDir())
	for name, change := range map[string]func(*config.Config){
		"as a file":          func(c *config.Config) { c.List.Protect = config.ProtectFile },
		"another TPM":        func(c *config.Config) { c.List.TPM = other.Path },
		"no TPM":             func(c *config.Config) { c.List.TPM = filepath.Join(dir, "none") },
		"another credential": func(c *config.Config) { c.List.Protect = config.ProtectCredential },
	} {
		if got := w.thief(dir, change); got != gate.ListUnavailable {
			t.Errorf("%s: the list answers %v", name, got)
		}
	}
	// An altered blob on the kiosk itself: everybody is referred, staff see why.
	path := filepath.Join(w.identity(), wire.FileSealTPM)
	text := must[[]byte](t)(os.ReadFile(path))
	at := bytes.Index(text, []byte(`"private":"`)) + 40
	text[at] ^= 3
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if b := boot(t, w.c); b.admits() != gate.ListUnavailable || b.noticed() != "fault" || !strings.Contains(b.sealProblem, "enrol this kiosk anew") {
		t.Errorf("%v, %q, %q", b.admits(), b.noticed(), b.sealProblem)
	}
}

// With the key in a credential of systemd, the state folder tells nothing.
func TestStolenDiskCredential(t *testing.T) {
	w := newTheftWorld(t, config.ProtectCredential)
	credentials := credential(t, filepath.Join(w.identity(), "seal.key"))
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	w.live()
	dir := w.stolen()
	if found := w.inClear(dir); len(found) > 0 {
		t.Errorf("in clear: %q", found)
	}
	foreign := newTheftWorld(t, config.ProtectCredential)
	for name, env := range map[string]string{"none": "", "an empty one": t.TempDir(), "another kiosk's": credential(t, filepath.Join(foreign.identity(), "seal.key"))} {
		t.Setenv("CREDENTIALS_DIRECTORY", env)
		for _, protect := range []string{config.ProtectFile, config.ProtectCredential} {
			if got := w.thief(dir, func(c *config.Config) { c.List.Protect = protect }); got != gate.ListUnavailable {
				t.Errorf("%s, as %s: the list answers %v", name, protect, got)
			}
		}
		if b := boot(t, w.c); b.noticed() != "fault" || !strings.Contains(b.sealProblem, "credential") {
			t.Errorf("%s: %q, %q", name, b.noticed(), b.sealProblem)
		}
	}
}

// credential seals a key with systemd-creds, where that works without systemd
// itself, and opens it as systemd would for the service.
func credential(t *testing.T, key string) (dir string) {
	t.Helper()
	dir, sealed := t.TempDir(), filepath.Join(t.TempDir(), credentialSeal)
	text := must[[]byte](t)(os.ReadFile(key))
	if tool, err := exec.LookPath("systemd-creds"); err == nil && os.Geteuid() == 0 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		host := "SYSTEMD_CREDENTIAL_SECRET=" + filepath.Join(t.TempDir(), "credential.secret")
		for _, args := range [][]string{{"encrypt", "--with-key=host", "--name=" + credentialSeal, key, sealed}, {"decrypt", "--name=" + credentialSeal, sealed, "-"}} {
			cmd := exec.CommandContext(ctx, tool, args...)
			cmd.Env = append(os.Environ(), host)
			if text, err = cmd.Output(); err != nil {
				t.Fatalf("systemd-creds %s: %v", args[0], err)
			}
		}
		if cipher := must[[]byte](t)(os.ReadFile(sealed)); bytes.Contains(cipher, []byte("PRIVATE KEY")) {
			t.Error("systemd-creds sealed nothing")
		}
	}
	if err := os.WriteFile(filepath.Join(dir, credentialSeal), text, 0o400); err != nil {
		t.Fatal(err)
	}
	return dir
}

// With the key in a file, whoever has the disk opens the list: which is what
// notice and status say.
func TestStolenDiskFile(t *testing.T) {
	w := newTheftWorld(t, config.ProtectFile)
	w.live()
	dir := w.stolen()
	if got := w.thief(dir, func(*config.Config) {}); got != gate.ListAllow {
		t.Errorf("the list answers %v: notice, status and README say that it opens", got)
	}
	if found := w.inClear(dir); fmt.Sprint(found) != "[identity/seal.key incoming/list.key]" {
		t.Errorf("in clear: %q", found)
	}
	if b := boot(t, w.c); b.noticed() != "warning" {
		t.Errorf("notice %q", b.noticed())
	}
}

// A list whose secret has not come is refused and says so; as soon as central
// sends it the list is in force, and after a restart that lost the secret, too.
func TestListSecretComesLater(t *testing.T) {
	w := newTheftWorld(t, config.ProtectFile)
	b := boot(t, w.c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.store.Follow(ctx, w.c.List.Dir, 20*time.Millisecond, b.trusted) }()
	eventually := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not within 10 s: %s; %q", what, b.store.Status().Problem)
			}
		}
	}
	send := func(b *builder) {
		t.Helper()
		all := must[*wire.ListSecretSet](t)(w.reg.CA.ListSecrets(time.Now()))
		if err := b.command(must[*wire.Command](t)(w.reg.ListSecrets(t.Context(), "sgn-g12", b.secrets.Name(), all))); err != nil {
			t.Fatal(err)
		}
	}
	w.deliver(2, 5, false)
	eventually("the list is refused", func() bool { return strings.Contains(b.store.Status().Problem, "generation 2") })
	if b.admits() != gate.ListUnavailable {
		t.Errorf("it answers %v", b.admits())
	}
	if err := w.reg.CA.AddListSecret(wire.ListSecret{Generation: 2, Began: w.now, Content: w.secrets[2].Reveal()}, time.Now()); err != nil {
		t.Fatal(err)
	}
	send(b)
	eventually("the list is in force", func() bool { return b.admits() == gate.ListAllow })
	cancel()
	if err := errors.Join(<-ended, b.store.Close(), os.Remove(filepath.Join(w.identity(), "list-secrets.json"))); err != nil {
		t.Fatal(err)
	}
	if b = boot(t, w.c); b.admits() != gate.ListUnavailable {
		t.Errorf("without its secret it answers %v", b.admits())
	}
	send(b)
	if b.admits() != gate.ListAllow {
		t.Errorf("after the secret came again: %v, %q", b.admits(), b.store.Status().Problem)
	}
}
