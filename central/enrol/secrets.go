package enrol

import (
	"context"
	"fmt"
	"path/filepath"

	"gateagent/central/repo"
	"gateagent/gate/wire"
)

// RepoFolder is the update repository's inside central's state folder.
const RepoFolder = "repo"

// settingAirport, with the name of a kiosk, is whose list secrets it gets.
const settingAirport = "airport/"

// maxBundledRoot bounds a root in a bundle.
const maxBundledRoot = 64 << 10

func (r *Registry) setAirport(ctx context.Context, kiosk, airport string) error {
	if _, err := wire.AirportRole(airport); err != nil {
		return err
	}
	return r.Store.SetSetting(ctx, settingAirport+kiosk, airport)
}

// Airport is where a kiosk stands, as its enrolment said; empty: it did not.
func (r *Registry) Airport(ctx context.Context, kiosk string) (string, error) {
	return r.Store.Setting(ctx, settingAirport+kiosk)
}

// ListSecrets makes the command that brings a kiosk what it is to have of all
// list secrets; nil where it has that, which is the set of that name.
func (r *Registry) ListSecrets(ctx context.Context, kiosk, has string, all *wire.ListSecretSet) (*wire.Command, error) {
	airport, err := r.Airport(ctx, kiosk)
	if err != nil {
		return nil, err
	}
	set := all.For(airport)
	if set.Name() == has {
		return nil, nil
	}
	k, sealKey, err := r.sealKey(ctx, kiosk)
	if err != nil {
		return nil, err
	}
	if !k.Revoked.IsZero() {
		return nil, fmt.Errorf("kiosk %s was revoked: it gets no list secret", kiosk)
	}
	return set.Command(kiosk, sealKey, r.CA.AckKey())
}

// newestRoot reads the newest root of the update repository; none without one.
func (r *Registry) newestRoot() ([]byte, error) {
	return repo.NewestRoot(filepath.Join(r.dir, RepoFolder))
}
