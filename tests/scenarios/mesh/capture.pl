# Prints each TCP packet of its network namespace that has content and one of these ports, as a line: where, from port, to port,
# content in hexadecimal. What every Debian has can do this, so it needs no image of its own.
use strict;
use warnings;

use constant {AF_PACKET => 17, SOCK_DGRAM => 2, ETH_P_ALL => 3, LOOPBACK => 772, OUTGOING => 4, TCP => 6};
# It ends by itself, whatever becomes of whoever started it. As process 1 it needs a handler: the kernel spares that process.
use constant SECONDS_MAX => 120;
use constant PACKET_BYTES_MAX => 131_072;

my %is_wanted = map { $_ => 1 } @ARGV;
$SIG{$_} = sub { exit 0 } for qw(ALRM TERM);
alarm SECONDS_MAX;
$| = 1;
# In the network's order of bytes.
my $every_protocol = unpack 'S', pack 'n', ETH_P_ALL;
socket(my $all, AF_PACKET, SOCK_DGRAM, $every_protocol) or die "a socket for packets: $!\n";
print "listening\n";
while (defined(my $from = recv $all, my $packet, PACKET_BYTES_MAX, 0)) {
    # struct sockaddr_ll: family, protocol, interface, kind of the interface, direction.
    my (undef, undef, undef, $interface, $direction) = unpack 'S n l S C', $from;
    my $is_loopback = $interface == LOOPBACK;
    # On the loopback each packet is seen as it goes and as it comes.
    next if $is_loopback && $direction == OUTGOING;
    # IPv4: version and length of the header in words, length of all, protocol.
    next if length $packet < 40;
    my ($version, $whole, $protocol) = unpack 'C x n x5 C', $packet;
    next if $version >> 4 != 4 || $protocol != TCP;
    my $ip = ($version & 15) * 4;
    my ($source, $target) = unpack "x$ip n n", $packet;
    next unless $is_wanted{$source} || $is_wanted{$target};
    my $begin = $ip + (unpack("x$ip x12 C", $packet) >> 4) * 4;
    # What is behind the end is padding.
    my $content = substr $packet, 0, $whole || length $packet;
    next if length $content <= $begin;
    print join(' ', $is_loopback ? 'loopback' : 'network', $source, $target, unpack 'H*', substr $content, $begin), "\n";
}
