package directory

import (
	"dmalloc/company"
	"dmalloc/message"
)

const (
	// mostSize is how many bytes the directory may have as JSON (D10): one message carries it, with what nodes put into
	// their copies of it, who were told other addresses by whoever started them.
	mostSize = message.MaxData - 64*message.MaxNodes
	// askedSize is how large it may become by what is asked from outside. The rest is for what the cluster has to write
	// to keep its companies alive.
	askedSize = mostSize / 2
	// maxName is how long a host's name and an address may be.
	maxName = 255
	// leastMemory has room for a page of every company there may be.
	leastMemory = message.MaxCompany * message.PageSize
)

// tooLarge refuses what makes the directory too large (D10), except for what makes it no larger.
func tooLarge(before, after *message.Directory, op message.Op) company.Result {
	most := mostSize
	if op == message.ADMIT || op == message.JOBADD {
		most = askedSize
	}
	size := len(message.JSON(after))
	if size <= most || size <= len(message.JSON(before)) {
		return company.Result{}
	}
	return refuse(message.OutOfMemory, "D10: the directory would have %d bytes, %d are possible; remove modules of jobs that nobody needs", size, most)
}

// tooLong refuses names that no host has.
func tooLong(n message.Node) company.Result {
	for _, x := range []struct{ what, is string }{{"host", n.Host}, {"address", n.Address}, {"HTTP address", n.HTTP}} {
		if len(x.is) > maxName {
			return refuse(message.InvalidArgument, "the %s of a node has %d bytes, at most %d are kept; give it a shorter name", x.what, len(x.is), maxName)
		}
	}
	return company.Result{}
}
