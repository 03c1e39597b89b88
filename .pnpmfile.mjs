// The packages that carry Node name their platform in a form that pnpm does not read: a string where it wants a list.
const list = (value) => (typeof value === 'string' ? [value] : value);

export const hooks = {
  readPackage(pkg) {
    if (/^node-(bin-)?(linux|darwin|win)-/.test(pkg.name)) {
      pkg.os = list(pkg.os);
      pkg.cpu = list(pkg.cpu);
      if (pkg.os?.includes('linux')) pkg.libc = ['glibc'];
    }
    return pkg;
  },
};
