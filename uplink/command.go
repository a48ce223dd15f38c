package uplink

import (
	"errors"

	"gateagent/gate/wire"
)

// command handles one message on the topic of commands. Whatever is wrong with
// it, the connection and the results on it go on.
func (u *Uplink) command(payload []byte) {
	c, err := wire.DecodeCommand(payload)
	if err == nil {
		err = c.Verify(u.cfg.Identity.Name, u.cfg.Identity.AckKey)
	}
	if err != nil {
		u.alarm("a command that is not central's was refused", err)
		return
	}
	what := map[string]string{wire.CommandDocKeys: "keys of document references", wire.CommandListSecrets: "list secrets"}[c.Kind]
	if what == "" {
		u.log.Warn("central sends a command of a kind that is not known here; it is ignored: is a newer agent to be installed?", "kind", c.Kind)
		return
	}
	switch err := u.cfg.Command(c); {
	case errors.Is(err, wire.ErrOld):
		u.log.Warn(what+" that central has replaced since are not taken", "err", err)
	case err != nil:
		u.log.Error("central's "+what+" could not be taken", "err", err)
	}
}
