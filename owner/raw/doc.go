// Package raw measures Dragonboat alone: three replicas in this process on loopback, the same log and
// engine settings as a company's, one proposal an operation and a state machine that only counts. It is
// what a heap on Dragonboat is compared with.
package raw
