package update

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/gate/wire"
)

// authority makes certificates for a mirror and its clients.
type authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, key: must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), pool: x509.NewCertPool()}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "central"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, tpl, tpl, a.key.Public(), a.key))
	a.cert = must[*x509.Certificate](t)(x509.ParseCertificate(der))
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) issue(name string) tls.Certificate {
	key := must[*ecdsa.PrivateKey](a.t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	tpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"127.0.0.1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: nil,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	tpl.IPAddresses = append(tpl.IPAddresses, []byte{127, 0, 0, 1})
	der := must[[]byte](a.t)(x509.CreateCertificate(rand.Reader, tpl, a.cert, key.Public(), a.key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// mirror serves a repository by HTTPS to clients with a certificate. twist
// may answer in its stead.
type mirror struct {
	*Mirror
	dir      string
	requests atomic.Int64
	served   atomic.Int64
	twist    func(w http.ResponseWriter, r *http.Request, file []byte) bool
}

func serve(t testing.TB, dir string) *mirror {
	a := newAuthority(t)
	m := &mirror{dir: dir}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(m.handle))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue("mirror")}, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	m.Mirror = must[*Mirror](t)(NewMirror(srv.URL+"/repo", &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{a.issue("kiosk")}}))
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) handle(w http.ResponseWriter, r *http.Request) {
	m.requests.Add(1)
	name := strings.TrimPrefix(r.URL.Path, "/repo/")
	b, err := os.ReadFile(filepath.Join(m.dir, filepath.FromSlash(name)))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if m.twist != nil && strings.HasPrefix(name, wire.RepoTargets) && m.twist(w, r, b) {
		return
	}
	http.ServeContent(counted{w, &m.served}, r, "", time.Time{}, bytes.NewReader(b))
}

type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return c.ResponseWriter.Write(b)
}

// large is content of a target that takes several chunks.
func large() []byte {
	b := make([]byte, 100<<10)
	_, _ = mrand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// withLarge publishes a release of that content.
func withLarge(t *testing.T) (*repo, *kiosk, []byte) {
	r, k := begun(t)
	b := large()
	r.put(wire.RoleSoftware, "software/agent", b, r.custom(wire.KindSoftware, 1))
	r.second()
	return r, k, b
}

// A mirror may lie about targets in any way: it is refused by name, the rest
// goes on, and another mirror serves what it would not.
func TestLyingMirror(t *testing.T) {
	for name, tc := range map[string]struct {
		want  Attack
		twist func(w http.ResponseWriter, r *http.Request, b []byte) bool
	}{
		"swapped": {Swapped, func(w http.ResponseWriter, _ *http.Request, b []byte) bool {
			b[len(b)/2] ^= 1
			_, _ = w.Write(b)
			return true
		}},
		"wrong length": {Swapped, func(w http.ResponseWriter, _ *http.Request, b []byte) bool {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)-1))
			_, _ = w.Write(b[:len(b)-1])
			return true
		}},
		"truncated": {Swapped, func(w http.ResponseWriter, _ *http.Request, b []byte) bool {
			_ = http.NewResponseController(w).Flush() // no length is said
			_, _ = w.Write(b[:len(b)-1])
			return true
		}},
		"endless": {EndlessData, func(w http.ResponseWriter, r *http.Request, b []byte) bool {
			_ = http.NewResponseController(w).Flush()
			for r.Context().Err() == nil {
				if _, err := w.Write(b); err != nil {
					break
				}
			}
			return true
		}},
		"slow": {SlowData, func(w http.ResponseWriter, r *http.Request, b []byte) bool {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			for i := range b {
				_, _ = w.Write(b[i : i+1])
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return true
				case <-time.After(50 * time.Millisecond):
				}
			}
			return true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, k, want := withLarge(t)
			liar := serve(t, r.dir)
			var lies atomic.Int64
			liar.twist = func(w http.ResponseWriter, req *http.Request, b []byte) bool {
				return strings.Contains(req.URL.Path, "software") && lies.Add(1) > 0 && tc.twist(w, req, b)
			}
			k.hasty = name == "slow"
			k.restart()
			ok(t, k.look(liar))
			if got := k.took[wire.RoleSoftware].got["software/agent"]; got != "" {
				t.Fatal("the lie is in force")
			}
			k.has(t, "the rest", "second", "second list", "somebody")
			k.alarmed(t, tc.want)
			if lies.Load() == 0 {
				t.Error("nobody lied")
			}
			honest := serve(t, r.dir)
			k.cfg.Sources = []Source{liar, honest}
			k.restart()
			ok(t, k.look(liar))
			if got := k.took[wire.RoleSoftware].got["software/agent"]; got != string(want) {
				t.Errorf("with an honest mirror as the second: %d bytes: %v", len(got), k.Notices())
			}
		})
	}
}

// A transfer that is cut goes on where it was, over connections and restarts,
// and from another mirror as well.
func TestResume(t *testing.T) {
	r, k, want := withLarge(t)
	m := serve(t, r.dir)
	cut := func(w http.ResponseWriter, req *http.Request, b []byte) bool {
		if !strings.Contains(req.URL.Path, "software") {
			return false
		}
		from := 0
		if _, err := fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)))
			w.Header().Set("Content-Length", strconv.Itoa(len(b)-from))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		}
		_, _ = counted{w, &m.served}.Write(b[from:min(len(b), from+10<<10)])
		panic(http.ErrAbortHandler)
	}
	m.twist = cut
	ok(t, k.look(m))
	if len(k.took[wire.RoleSoftware].got) > 0 {
		t.Fatal("came in spite of the cuts")
	}
	parts := must[[]string](t)(filepath.Glob(filepath.Join(k.cfg.Dir, targetsDir, "*"+partEnd)))
	if len(parts) != 1 {
		t.Fatalf("partial targets: %q", parts)
	}
	k.restart()
	m.twist = nil
	before := m.served.Load()
	ok(t, k.look(m))
	if got := k.took[wire.RoleSoftware].got["software/agent"]; got != string(want) {
		t.Fatalf("%d bytes: %v", len(got), k.Notices())
	}
	if again := m.served.Load() - before; again > int64(len(want)*3/4) {
		t.Errorf("%d of %d bytes came again", again, len(want))
	}
}

// What lies there of a target may be a liar's: it is fetched anew, once.
func TestPoisonedPart(t *testing.T) {
	r, k, want := withLarge(t)
	m := serve(t, r.dir)
	m.twist = func(_ http.ResponseWriter, req *http.Request, _ []byte) bool {
		if strings.Contains(req.URL.Path, "software") {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	ok(t, k.look(m))
	sum := r.roles[wire.RoleSoftware].Signed.Targets["software/agent"].Hashes["sha256"]
	ok(t, os.WriteFile(filepath.Join(k.cfg.Dir, targetsDir, fmt.Sprintf("%x", []byte(sum))+partEnd), make([]byte, 99<<10), 0o600))
	m.twist = nil
	k.restart()
	ok(t, k.look(m))
	if got := k.took[wire.RoleSoftware].got["software/agent"]; got != string(want) {
		t.Errorf("%d bytes: %v", len(got), k.Notices())
	}
}

// Metadata that trickles in is slow data; a mirror that says nothing is only
// absent.
func TestSlowMetadata(t *testing.T) {
	r, k := begun(t)
	r.second()
	slow := func(first bool) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if !strings.Contains(req.URL.Path, "timestamp") {
				http.NotFound(w, req)
				return
			}
			for range 200 {
				if first {
					_, _ = io.WriteString(w, " ")
					_ = http.NewResponseController(w).Flush()
				}
				select {
				case <-req.Context().Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
	}
	k.hasty = true
	k.restart()
	for first, want := range map[bool]Attack{true: SlowData, false: ""} {
		srv := httptest.NewTLSServer(slow(first))
		m := must[*Mirror](t)(NewMirror(srv.URL, srv.Client().Transport.(*http.Transport).TLSClientConfig))
		began := time.Now()
		err := k.look(m)
		if err == nil || attackOf(err) != want || time.Since(began) > 5*time.Second {
			t.Errorf("trickling %v: %v after %v", first, err, time.Since(began))
		}
		m.Close()
		srv.Close()
	}
	k.has(t, "after slow mirrors", "first", "first list", "nobody")
}

// A mirror that asks for a certificate gets the kiosk's; none is served
// without. Nothing but https is taken.
func TestMirrorAddress(t *testing.T) {
	r, k := begun(t)
	r.second()
	m := serve(t, r.dir)
	stranger := must[*Mirror](t)(NewMirror(m.Name(), &tls.Config{InsecureSkipVerify: true}))
	if err := k.look(stranger); err == nil || attackOf(err) != "" {
		t.Errorf("without a certificate: %v", err)
	}
	for _, bad := range []string{"http://a/", "ftp://a", "https://", "https://user@a/", "https://a/?x", "a", ""} {
		if _, err := NewMirror(bad, nil); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if k.lookAll(t.Context(), nil); len(k.Notices()) != 0 {
		t.Errorf("%v", k.Notices())
	}
	k.cfg.Sources = []Source{stranger, Folder(t.TempDir()), m}
	k.restart()
	if !k.lookAll(t.Context(), nil) {
		t.Error("the third mirror was not asked")
	}
	k.drain()
	k.has(t, "from the third mirror", "second", "second list", "somebody")
	if s := k.Status(); s.Source != m.Name() {
		t.Errorf("status %+v", s)
	}
}

// Without room nothing is begun, and results keep theirs.
func TestNoSpace(t *testing.T) {
	r, k, _ := withLarge(t)
	ok(t, k.refresh(t.Context(), Folder(r.dir), nil))
	c := k.latest
	targets, _, err := c.targetsOf(wire.RoleSoftware)
	ok(t, err)
	f := &fetcher{store: k.store, pace: usualPace, sources: []Source{Folder(r.dir)}, free: func(string) (int64, error) { return keepFree, nil }}
	if _, err := f.fetch(t.Context(), targets[0]); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("%v", err)
	}
}
