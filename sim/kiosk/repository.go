package kiosk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"gateagent/sim/doc"
)

// Repository is an update repository that ops make with gatectl and
// gatecentral keeps: one key for people, one that is online.
type Repository struct {
	Airport  string // whose lists it carries
	bin, dir string
}

// NewRepository makes keys and repository in dir. bin is the folder of the
// programs.
func NewRepository(ctx context.Context, bin, dir, airport string) (*Repository, error) {
	r := &Repository{Airport: airport, bin: bin, dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(r.path("passphrase"), []byte("of a simulated airport\n"), 0o600); err != nil {
		return nil, err
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, name := range []string{"people.key", "online.key"} {
		g.Go(func() error {
			return r.tool(gctx, "key", "new", r.path(name), "--passphrase-file", r.path("passphrase"))
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	people, online := r.path("people.key.pub"), r.path("online.key.pub")
	if err := r.tool(ctx, "repo", "init", "--repo", r.path("repo"), "--root", people, "--threshold", "1", "--targets", people,
		"--online", online, "--role", "airport-"+airport+"="+people); err != nil {
		return nil, err
	}
	return r, r.tool(ctx, "repo", "sign", "--repo", r.path("repo"), "--key", r.path("people.key"), "--key", r.path("online.key"),
		"--passphrase-file", r.path("passphrase"))
}

func (r *Repository) path(name string) string { return filepath.Join(r.dir, name) }

func (r *Repository) tool(ctx context.Context, args ...string) error {
	_, err := Run(ctx, filepath.Join(r.bin, "gatectl"), args...)
	return err
}

// Root is the file of the first root, which kiosks are given.
func (r *Repository) Root() string { return r.path("repo/metadata/1.root.json") }

// Pending is the folder in which what is published waits for gatecentral.
func (r *Repository) Pending() string { return r.path("repo/pending") }

// Keep gives the flags with which gatecentral keeps the repository and serves
// it at an address.
func (r *Repository) Keep(address string) []string {
	return []string{"--repo", r.path("repo"), "--updates", address, "--online-key", r.path("online.key"),
		"--passphrase-file", r.path("passphrase"), "--assume-clock"}
}

// Mirror is what kiosks call a repository that gatecentral serves at an
// address.
func Mirror(address string) string { return "https://" + address + "/repo" }

// PublishList publishes a list that gatectl has built.
func (r *Repository) PublishList(ctx context.Context, folder string) error {
	return r.tool(ctx, "publish", "list", folder, "--airport", r.Airport, "--repo", r.path("repo"), "--key", r.path("people.key"),
		"--passphrase-file", r.path("passphrase"))
}

// Revoke adds a change to the file of revocations: documents are off the list.
func (r *Repository) Revoke(ctx context.Context, secret string, documents ...*doc.Document) error {
	var lines strings.Builder
	for _, d := range documents {
		fmt.Fprintf(&lines, "%s,%s,%s\n", d.Profile.State, d.Profile.Type, d.Number())
	}
	_, err := RunOn(ctx, strings.NewReader(lines.String()), filepath.Join(r.bin, "gatectl"), "list", "revoke",
		"--file", r.path("revocations"), "--secret", secret)
	return err
}

// PublishRevocations publishes the file of revocations.
func (r *Repository) PublishRevocations(ctx context.Context) error {
	return r.tool(ctx, "publish", "revocations", r.path("revocations"), "--airport", r.Airport, "--repo", r.path("repo"))
}
