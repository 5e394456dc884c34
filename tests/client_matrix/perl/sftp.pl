#!/usr/bin/perl
# Net::SFTP::Foreign, told by words what to do. Login: TD_HOST TD_PORT TD_USER TD_PASSWORD TD_KEY.
use strict;
use warnings;
use Encode qw(decode_utf8 encode_utf8);
use Net::SFTP::Foreign;

my ($verb, @words) = map { decode_utf8($_) } @ARGV;
binmode STDOUT, ':encoding(UTF-8)';
my @more = ('-F', '/dev/null', '-o', "UserKnownHostsFile=$ENV{TD_KNOWN_HOSTS}");
my %proof = $ENV{TD_KEY} ? (key_path => $ENV{TD_KEY}) : (password => $ENV{TD_PASSWORD});
my $sftp = Net::SFTP::Foreign->new(
    $ENV{TD_HOST},
    port       => $ENV{TD_PORT},
    user       => $ENV{TD_USER},
    more       => \@more,
    fs_encoding => 'utf8',
    %proof,
);
$sftp->die_on_error('cannot connect');

my %verbs = (
    put    => sub { $sftp->put($_[0], $_[1]) },
    many   => sub { $sftp->mput("$_[0]/*") },
    resume => sub { $sftp->put($_[0], $_[1], resume => 1) },
    read   => sub { $sftp->get($_[0], $_[1]) },
    names  => sub { print "$_->{filename}\n" for @{ $sftp->ls('.') } },
    delete => sub { $sftp->remove($_[0]) },
    rename => sub { $sftp->rename($_[0], $_[1]) },
    atomic => sub { $sftp->put($_[0], $_[1], atomic => 1) },
);
$verbs{$verb}->(@words);
$sftp->die_on_error($verb);
