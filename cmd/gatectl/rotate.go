package main

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/central/keys"
	"gateagent/central/repo"
)

// rotateFlags are those of `gatectl rotate`.
type rotateFlags struct {
	repoFlags
	add, remove []string
	threshold   int
}

// rotateCommand is `gatectl rotate`: other keys for a role.
func rotateCommand() *cobra.Command {
	var f rotateFlags
	cmd := &cobra.Command{
		Use:   "rotate ROLE [--add KEY.pub]... [--remove KEY.pub|ID]... [--threshold N]",
		Short: "Change the keys that sign a role",
		Long: `Change the keys that sign a role: root, targets, an airport's, trust, settings,
software, models, or online for snapshot, timestamp and revocations together.

A new root is signed by as many of the old keys as the old one wants and as
many of the new ones as it wants itself. Where the keys of another role change,
its metadata is drafted anew and wants the new keys' signatures; everything
comes into force together. Kiosks follow by themselves, also those that were
away for several changes.`,
		Example: `  gatectl rotate root --add dave.key.pub --remove carol.key.pub --key alice.key
  gatectl repo sign --key dave.key
  gatectl rotate online --add online-2.key.pub --remove online.key.pub --key ops.key`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(f.add) == 0 && len(f.remove) == 0 && f.threshold == 0 {
				return errors.New("rotate changes nothing without --add, --remove or --threshold; gatectl repo renew only prolongs")
			}
			roles := []string{args[0]}
			if args[0] == "online" {
				roles = onlineRoles()
			}
			ask, err := f.pass.ask(cmd)
			if err != nil {
				return err
			}
			return f.change(cmd, func(r *repo.Repo) error {
				for _, role := range roles {
					if err := f.rotate(r, role, ask); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	f.registerKeys(cmd)
	cmd.Flags().StringArrayVar(&f.add, "add", nil, "public `key` that signs from now on, repeatable")
	cmd.Flags().StringArrayVar(&f.remove, "remove", nil, "public `key` or the beginning of its id that signs no longer, repeatable")
	cmd.Flags().IntVar(&f.threshold, "threshold", 0, "how many must sign (default as before)")
	return cmd
}

func (f *rotateFlags) rotate(r *repo.Repo, role string, ask keys.Ask) error {
	k, err := r.Keys(role)
	if err != nil {
		return err
	}
	for _, ref := range f.remove {
		id, err := keyNamed(ref, r)
		if err != nil {
			return err
		}
		before := len(k.Keys)
		k.Keys = slices.DeleteFunc(k.Keys, func(p crypto.PublicKey) bool {
			other, err := repo.KeyID(p)
			return err == nil && other == id
		})
		if len(k.Keys) == before {
			return fmt.Errorf("role %s: key %.12s does not sign it", role, id)
		}
	}
	added, err := publicKeys(f.add, ask)
	if err != nil {
		return err
	}
	k.Keys = append(k.Keys, added...)
	if f.threshold > 0 {
		k.Threshold = f.threshold
	}
	return r.SetKeys(role, k, time.Now())
}

// minID is how many digits of a key's id name it.
const minID = 8

// keyNamed finds the id of a key by its public file, or by the beginning of
// the id among those that count.
func keyNamed(ref string, r *repo.Repo) (string, error) {
	if _, err := os.Stat(ref); err == nil {
		pub, err := keys.Public(ref, nil)
		if err != nil {
			return "", err
		}
		return repo.KeyID(pub)
	}
	found := map[string]bool{}
	for _, role := range r.Status().Roles {
		for _, id := range role.Keys {
			if len(ref) >= minID && strings.HasPrefix(id, ref) {
				found[id] = true
			}
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("key %s: %d keys of the repository are called that: name its .pub file, or at least %d digits of its id", ref, len(found), minID)
	}
	for id := range found {
		ref = id
	}
	return ref, nil
}

// revokeCommand is `gatectl revoke`: a key that counts no longer, anywhere.
func revokeCommand() *cobra.Command {
	var f repoFlags
	var replace string
	cmd := &cobra.Command{
		Use:   "revoke KEY.pub|ID [--replace NEW.pub]",
		Short: "Take a lost or stolen key out of every role",
		Long: `Take a lost or stolen key out of every role that it signs, and put another in
its place. A role that would be left with fewer keys than it wants signatures
needs --replace. What the key has signed and is still in force is drafted anew
and wants the other keys' signatures: look at it (gatectl repo status) before
you sign, the thief may have published.

Kiosks that are connected refuse the key within seconds after everything is
signed, the others when they next hear of the repository.`,
		Example: `  gatectl revoke sgn.key.pub --replace sgn-2.key.pub --key ops.key --key sgn-2.key`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var next crypto.PublicKey
			if replace != "" {
				ask, err := f.pass.ask(cmd)
				if err != nil {
					return err
				}
				if next, err = keys.Public(replace, ask); err != nil {
					return err
				}
			}
			return f.change(cmd, func(r *repo.Repo) error {
				id, err := keyNamed(args[0], r)
				if err != nil {
					return err
				}
				roles, err := r.RevokeKey(id, next, time.Now())
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "key %.12s is out of %s once the drafts are signed\n", id, strings.Join(roles, ", "))
				return nil
			})
		},
	}
	f.registerKeys(cmd)
	cmd.Flags().StringVar(&replace, "replace", "", "public `key` that takes its place")
	return cmd
}
