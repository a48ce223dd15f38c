// Package vpcd runs a PC/SC daemon of its own for tests and for the demo, and
// plugs virtual chips into its virtual reader.
//
// The daemon is Debian's real pcscd with the virtual reader driver of the
// vsmartcard project. It runs in private network and mount namespaces: the
// driver listens on all addresses and would otherwise be open to the network,
// and a second pcscd refuses to start while it sees the /run/pcscd of the
// first. Programs reach it through Daemon.Socket, which they put into
// SocketVariable before their first PC/SC call (libpcsclite reads it once).
//
// Nothing of it survives: the daemon dies with the thread that started it,
// its namespaces die with it, and every file lies in the folder it was given.
package vpcd
