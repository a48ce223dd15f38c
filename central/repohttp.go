package central

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"gateagent/gate/wire"
)

// repoPrefix is the repository's address below the server's.
const repoPrefix = "/repo/"

// repoServer gives the files of the repository to kiosks, which show their
// certificate. The files prove themselves, so it need not be trusted; it keeps
// strangers from reading when who publishes what.
type repoServer struct {
	dir   string
	admit func(context.Context, *x509.Certificate) (string, bool, error)
	lis   net.Listener
	http  *http.Server
	log   *slog.Logger
}

// openRepoServer listens; Run serves.
func openRepoServer(addr, dir string, conf *tls.Config, admit func(context.Context, *x509.Certificate) (string, bool, error), log *slog.Logger) (*repoServer, error) {
	lis, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("update repository cannot listen on %s: %w: choose another address, or end what listens there", addr, err)
	}
	s := &repoServer{dir: dir, admit: admit, lis: lis, log: log}
	// A table of 32 MB over a slow line takes its time; a client that is slower
	// still begins where it was.
	s.http = &http.Server{Handler: s, TLSConfig: conf, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 30 * time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	return s, nil
}

// Run serves until ctx ends.
func (s *repoServer) Run(ctx context.Context) error {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	done := make(chan error, 1)
	go func() { done <- s.http.ServeTLS(s.lis, "", "") }()
	select {
	case err := <-done:
		return fmt.Errorf("update repository: %w", err)
	case <-ctx.Done():
		return s.http.Close() // a kiosk goes on where it was
	}
}

// ServeHTTP gives one file, or a part of it.
func (s *repoServer) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.TLS == nil || len(q.TLS.PeerCertificates) == 0 {
		http.Error(w, "no certificate", http.StatusForbidden)
		return
	}
	ctx, cancel := context.WithTimeout(q.Context(), lookTimeout)
	_, _, err := s.admit(ctx, q.TLS.PeerCertificates[0])
	cancel()
	if err != nil {
		s.log.Warn("the repository refused a client", "remote", q.RemoteAddr, "err", err)
		http.Error(w, "not for this certificate", http.StatusForbidden)
		return
	}
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		http.Error(w, "only to be read", http.StatusMethodNotAllowed)
		return
	}
	name, ok := strings.CutPrefix(q.URL.Path, repoPrefix)
	if !ok || path.Clean(name) != name || !served(name) {
		http.NotFound(w, q)
		return
	}
	s.file(w, q, name)
}

// served says whether a path lies in what is public: no draft, no lock, no
// file that is being written.
func served(name string) bool {
	folder, rest, ok := strings.Cut(name, "/")
	return ok && rest != "" && (folder == wire.RepoMetadata || folder == wire.RepoTargets) && !strings.Contains(name, "/.")
}

func (s *repoServer) file(w http.ResponseWriter, q *http.Request, name string) {
	f, err := os.OpenInRoot(s.dir, filepath.FromSlash(name))
	if err != nil {
		http.NotFound(w, q)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, q)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	if name == wire.MetadataFile(wire.RoleTimestamp, 0) {
		h.Set("Cache-Control", "no-cache")
	} else {
		// Its name has its version or hash in it: it never changes.
		h.Set("Cache-Control", "private, max-age=31536000, immutable")
		h.Set("Etag", `"`+path.Base(name)+`"`)
	}
	http.ServeContent(w, q, "", info.ModTime(), f)
}

// close frees the address when Run was never called.
func (s *repoServer) close() error {
	if err := s.lis.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
