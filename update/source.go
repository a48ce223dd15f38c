package update

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Source is a place with the files of a repository. Nothing that it says is
// believed.
type Source interface {
	// Name is how staff and the journal know it.
	Name() string
	// Open reads a file from a byte on. It fails with fs.ErrNotExist where
	// there is none.
	Open(ctx context.Context, name string, from int64) (Body, error)
}

// Body is a file that is being read.
type Body struct {
	io.ReadCloser
	From int64 // where it begins; 0 where the source cannot begin elsewhere
	Size int64 // of the whole file as the source says, -1 where it does not
}

// Folder is a repository in a folder or on a stick.
type Folder string

// Name is its path.
func (f Folder) Name() string { return string(f) }

// Open reads a file of the folder, and none outside of it.
func (f Folder) Open(_ context.Context, name string, from int64) (Body, error) {
	file, err := os.OpenInRoot(string(f), filepath.FromSlash(name))
	if err != nil {
		return Body{}, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", name)
	}
	if err == nil {
		_, err = file.Seek(from, io.SeekStart)
	}
	if err != nil {
		return Body{}, errors.Join(err, file.Close())
	}
	return Body{ReadCloser: file, From: from, Size: info.Size()}, nil
}

// Bounds of one connection to a mirror.
const (
	mirrorDial    = 10 * time.Second
	mirrorHeaders = 64 << 10
	mirrorIdle    = 10 * time.Minute // so that a push finds a connection open
)

// Mirror is a repository behind an HTTPS server.
type Mirror struct {
	base   string
	client *http.Client
}

// NewMirror makes a mirror at an https address. conf has the kiosk's own
// certificate for servers that ask for one.
func NewMirror(address string, conf *tls.Config) (*Mirror, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("mirror %q: write it as https://HOST/FOLDER", address)
	}
	t := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, DisableCompression: true,
		TLSHandshakeTimeout: mirrorDial, ResponseHeaderTimeout: mirrorDial, IdleConnTimeout: mirrorIdle,
		MaxResponseHeaderBytes: mirrorHeaders, MaxConnsPerHost: 2}
	return &Mirror{base: strings.TrimSuffix(address, "/") + "/", client: &http.Client{Transport: t,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the mirror leads elsewhere; name that address in update.mirrors")
		}}}, nil
}

// Name is its address.
func (m *Mirror) Name() string { return strings.TrimSuffix(m.base, "/") }

// Open asks for a file (RFC 9110, section 14 for ranges).
func (m *Mirror) Open(ctx context.Context, name string, from int64) (Body, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.base+name, nil)
	if err != nil {
		return Body{}, err
	}
	if from > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(from, 10)+"-")
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return Body{}, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return Body{ReadCloser: resp.Body, Size: resp.ContentLength}, nil
	case http.StatusPartialContent:
		size, err := rangeSize(resp.Header.Get("Content-Range"), from)
		if err != nil {
			return Body{}, errors.Join(err, resp.Body.Close())
		}
		return Body{ReadCloser: resp.Body, From: from, Size: size}, nil
	}
	_ = resp.Body.Close() // its content does not matter
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		return Body{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && from > 0:
		return m.Open(ctx, name, 0)
	}
	return Body{}, fmt.Errorf("%s: the mirror answers %s", name, resp.Status)
}

// rangeSize reads "bytes 100-199/200" and checks that it begins where asked.
func rangeSize(header string, from int64) (int64, error) {
	span, all, ok := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	first, _, ok2 := strings.Cut(span, "-")
	n, err := strconv.ParseInt(first, 10, 64)
	if !ok || !ok2 || err != nil || n != from {
		return 0, fmt.Errorf("the mirror answers with another range than was asked for: %.60q", header)
	}
	size, err := strconv.ParseInt(all, 10, 64)
	if err != nil {
		return -1, nil // it may be unknown: "*"
	}
	return size, nil
}

// Close ends its idle connections.
func (m *Mirror) Close() { m.client.CloseIdleConnections() }
