package recipe

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gateagent/match/face/pack"
)

const (
	sharedModels = "../../../../shared/models"
	faceAPI      = "../../../models/face-api-1.7.15.tgz"
	setupScript  = "../../../scripts/setup-face"
)

// sources reads the publishers' files of a kind, or skips.
func sources(t *testing.T, r *Recipe) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	if r.Kind == pack.Recommended {
		for _, name := range r.Names() {
			raw, err := os.ReadFile(filepath.Join(sharedModels, name))
			if err != nil {
				t.Skipf("the publishers' files are not here: %v", err)
			}
			out[name] = raw
		}
		return out
	}
	f, err := os.Open(faceAPI)
	if err != nil {
		t.Skipf("the face-api package is not here: %v; scripts/setup fetches it", err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(unzipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if name := path.Base(h.Name); slices.Contains(r.Names(), name) {
			if out[name], err = io.ReadAll(archive); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTheSameSourcesGiveTheSamePack(t *testing.T) {
	for _, kind := range []pack.Kind{pack.Recommended, pack.Demo} {
		t.Run(string(kind), func(t *testing.T) {
			r, err := For(kind)
			if err != nil {
				t.Fatal(err)
			}
			src := sources(t, r)
			var first []byte
			times := 2
			if kind == pack.Demo {
				times = 1 // the pin says the same
			}
			for range times {
				m, models, err := r.Make(src)
				if err != nil {
					t.Fatal(err)
				}
				dir := filepath.Join(t.TempDir(), "pack")
				if err := pack.Write(dir, m, models); err != nil {
					t.Fatal(err)
				}
				p, err := pack.Open(dir, pack.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if p.Admits() || p.Kind != kind {
					t.Errorf("a new %s pack is %s and admits: %v", kind, p.Kind, p.Admits())
				}
				raw, err := os.ReadFile(filepath.Join(dir, pack.ManifestFile))
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = raw
				}
				if !bytes.Equal(first, raw) {
					t.Error("the same sources gave two packs")
				}
			}
			if kind == pack.Demo {
				checkPin(t, first)
			}
		})
	}
}

// checkPin: scripts/setup-face must pin the pack that this code makes.
func checkPin(t *testing.T, manifest []byte) {
	t.Helper()
	script, err := os.ReadFile(setupScript)
	if err != nil {
		t.Fatal(err)
	}
	pin := regexp.MustCompile(`(?m)^readonly demo_hash=([0-9a-f]{64})$`).FindSubmatch(script)
	sum := sha256.Sum256(manifest)
	if pin == nil || string(pin[1]) != hex.EncodeToString(sum[:]) {
		t.Errorf("the demo pack has hash %x; scripts/setup-face pins another: change demo_hash there", sum)
	}
}

func TestOnlyThePublishersFilesAreTaken(t *testing.T) {
	for _, kind := range []pack.Kind{pack.Recommended, pack.Demo} {
		r, err := For(kind)
		if err != nil {
			t.Fatal(err)
		}
		src := map[string][]byte{r.Sources[0].Name: []byte("something else")}
		_, _, err = r.Make(src)
		if err == nil {
			t.Fatal("a pack was made of nothing")
		}
		for _, want := range append(r.Names()[1:], r.Sources[0].Name+" is not the publisher's", "missing: ") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", kind, err, want)
			}
		}
	}
	if _, err := For("other"); err == nil {
		t.Error("there is a third kind")
	}
}
