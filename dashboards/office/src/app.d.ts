declare module 'virtual:glossary' {
  const texts: Record<string, { zh: string; en: string }>;
  export default texts;
}
